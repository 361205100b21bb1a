"""What looks on while a run is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sweeper.curves import Point, Stop, StopReason
from sweeper.curves.non_finite import find_non_finite
from sweeper.curves.spike import SpikeDetector


class Watch(Protocol):
    """Sees every point of a run as it comes, and may end the run."""

    def update(self, point: Point) -> Stop | None:
        """Judge the newest point."""

    def replay(self, point: Point) -> None:
        """Take a point from before an interruption, which was judged already."""

    @property
    def spike_start_step(self) -> int | None:
        """First step of the spike that the run is in now; None where it is in none."""


class Lookout:
    """Ends a run at a loss that is no number, and otherwise lets it go on.

    Args:
        last: Where to end it all the same: after so many steps, for this
            reason. A reproduction ends where the original did.
    """

    def __init__(self, last: tuple[int, Stop] | None = None) -> None:
        self._last = last
        self._spikes = SpikeDetector()

    def update(self, point: Point) -> Stop | None:
        """See `Watch.update`."""
        self.replay(point)
        if broken := find_non_finite(point):
            return Stop(StopReason.NON_FINITE, broken.evidence)
        if self._last is not None and point.step >= self._last[0]:
            return self._last[1]
        return None

    def replay(self, point: Point) -> None:
        """See `Watch.replay`."""
        if point.train_loss is not None:
            self._spikes.update(point.step, point.tokens, point.train_loss)

    @property
    def spike_start_step(self) -> int | None:
        """See `Watch.spike_start_step`."""
        return self._spikes.open.start_step if self._spikes.open else None


class Shown:
    """A watch whose points somebody else sees first."""

    def __init__(self, watch: Watch, show: Callable[[Point], None]) -> None:
        self._watch = watch
        self._show = show

    def update(self, point: Point) -> Stop | None:
        """See `Watch.update`."""
        self._show(point)
        return self._watch.update(point)

    def replay(self, point: Point) -> None:
        """See `Watch.replay`."""
        self._watch.replay(point)

    @property
    def spike_start_step(self) -> int | None:
        """See `Watch.spike_start_step`."""
        return self._watch.spike_start_step
