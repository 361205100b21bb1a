"""Spikes: a loss that jumps above where it just was.

The detector reads a series point by point and never revises what it said about
the past, so that the live pruner and the reader of a finished log see the same.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sweeper.curves.finding import Finding, FindingKind
from sweeper.curves.noise import difference_sigma
from sweeper.curves.series import Series

# With fewer trailing points a spread means nothing: only the absolute and the
# relative threshold speak then, and louder ones.
MIN_POINTS_FOR_SIGMA = 8
# Trailing values that tell the level just before the judged point.
LEVEL_POINTS = 5


@dataclass(frozen=True)
class SpikeSettings:
    """When a rise counts as a spike.

    Attributes:
        sigmas: Height in robust standard deviations of the trailing noise.
        relative: Height as a fraction of the trailing level.
        nats: Height in nats.
        few_relative: As `relative`, while too few points tell the noise: at the
            start, where warmups bump, and in logs of a dozen rows.
        few_nats: As `nats`, likewise.
        window: Trailing points that tell level and noise.
        recovered_sigmas: A spike is over once the loss is back within this many
            standard deviations of its level,
        recovered_share: or within this share of its height (or below the
            threshold, a quarter of the height at most). A live trial is forgiven
            once it has come most of the way: runs with such a spike at their
            start can end among the best.
    """

    sigmas: float = 6.0
    relative: float = 0.05
    nats: float = 0.15
    few_relative: float = 0.15
    few_nats: float = 0.3
    window: int = 32
    recovered_sigmas: float = 3.0
    recovered_share: float = 0.25


@dataclass
class Excursion:
    """A stretch of the series above its level; `end_*` and `current` follow it while it lasts.

    Attributes:
        level: Median of the values before it, which it was judged by.
        previous_step: Step of the value just before it.
        previous: That value.
        end_step: Step of the last value above the level, so far.
        end_tokens: Tokens seen by then.
        current: The newest value: the last above the level or, once it is over, the first back.
        num_points: Values above the level, so far.
        recovered_step: Step of the first value that is back; None while there is none.
    """

    start_step: int
    start_tokens: int
    previous_step: int
    previous: float
    level: float
    threshold: float
    sigma: float
    peak: float
    peak_step: int
    end_step: int
    end_tokens: int
    current: float
    num_points: int = 1
    recovered_step: int | None = None

    @property
    def recovered(self) -> bool:
        """Whether the series came back."""
        return self.recovered_step is not None

    @property
    def height(self) -> float:
        """Peak above what was before it, in nats.

        On a falling curve the median of the last values lags; the value just
        before is nearer then.
        """
        return self.peak - min(self.level, self.previous)


class SpikeDetector:
    """Finds excursions in one series of losses.

    The judged point never enters the level that it is judged against, and the
    points of an excursion never enter the level afterwards.
    """

    def __init__(self, settings: SpikeSettings | None = None) -> None:
        self._settings = settings or SpikeSettings()
        self._trailing: deque[float] = deque(maxlen=self._settings.window)
        self._past: list[Excursion] = []
        self._open: Excursion | None = None
        self._starting_loss: float | None = None
        self._last_step = 0
        self._num_calm = 0  # values taken since the last excursion

    @property
    def open(self) -> Excursion | None:
        """The excursion that the series is in, if it is in one."""
        return self._open

    @property
    def excursions(self) -> tuple[Excursion, ...]:
        """All so far, the open one last."""
        return (*self._past, *([self._open] if self._open else []))

    @property
    def starting_loss(self) -> float | None:
        """The first finite value, before training changed anything."""
        return self._starting_loss

    def update(self, step: int, tokens: int, value: float) -> None:
        """Take the next value; those that are not finite are another detector's."""
        if not math.isfinite(value):
            return
        if self._starting_loss is None:
            self._starting_loss = value
        if self._open is None:
            self._judge(step, tokens, value)
        else:
            self._follow(self._open, step, tokens, value)
        self._last_step = step

    def extend(self, series: Series) -> None:
        """Take many values at once, tokens counted as steps: the same as one by one, only fast.

        Points that no threshold could meet are passed over in one sweep.
        """
        steps, values = series.steps.tolist(), series.values.tolist()
        suspects = iter(self._suspects(series.values).tolist())
        suspect = next(suspects, len(values))
        index = 0
        while index < len(values):
            is_settled = self._open is None and self._num_calm >= LEVEL_POINTS
            if is_settled and index < suspect:
                # Up to here nothing rises enough; keep what the next judgement looks back on.
                self._trailing.extend(values[max(suspect - self._settings.window, index) : suspect])
                self._last_step = steps[suspect - 1]
                index = suspect
            if index < len(values):
                self.update(steps[index], steps[index], values[index])
                index += 1
            while suspect < index:
                suspect = next(suspects, len(values))

    def _suspects(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Indices of values that rise over the level of the few before as a spike must at least."""
        if len(values) <= LEVEL_POINTS:
            return np.arange(len(values))
        level = np.median(sliding_window_view(values, LEVEL_POINTS)[:-1], axis=1)
        least = np.maximum(self._settings.relative * np.abs(level), self._settings.nats)
        late = np.flatnonzero(values[LEVEL_POINTS:] - level > least) + LEVEL_POINTS
        return np.concatenate([np.arange(LEVEL_POINTS), late])

    def _judge(self, step: int, tokens: int, value: float) -> None:
        if self._trailing:
            level = statistics.median(list(self._trailing)[-LEVEL_POINTS:])
            threshold, sigma = self._threshold(level, value)
            if value - level > threshold:
                self._open = Excursion(
                    start_step=step,
                    start_tokens=tokens,
                    previous_step=self._last_step,
                    previous=self._trailing[-1],
                    level=level,
                    threshold=threshold,
                    sigma=sigma,
                    peak=value,
                    peak_step=step,
                    end_step=step,
                    end_tokens=tokens,
                    current=value,
                )
                return
        self._take(value)

    def _take(self, value: float) -> None:
        self._trailing.append(value)
        self._num_calm += 1

    def _threshold(self, level: float, value: float) -> tuple[float, float]:
        """The height that makes a spike, and the noise; the noise only where it matters."""
        chosen = self._settings
        if len(self._trailing) < MIN_POINTS_FOR_SIGMA:
            return max(chosen.few_relative * abs(level), chosen.few_nats), 0.0
        threshold = max(chosen.relative * abs(level), chosen.nats)
        if value - level <= threshold:
            return threshold, 0.0
        sigma = difference_sigma(list(self._trailing))
        return max(threshold, chosen.sigmas * sigma), sigma

    def _follow(self, spike: Excursion, step: int, tokens: int, value: float) -> None:
        spike.current = value
        near = max(
            self._settings.recovered_sigmas * spike.sigma,
            self._settings.recovered_share * spike.height,
            min(0.25 * spike.height, spike.threshold),
        )
        if value <= spike.level + near:
            spike.recovered_step = step
            self._past.append(spike)
            self._open = None
            self._num_calm = 0
            self._take(value)
            return
        spike.num_points += 1
        spike.end_step, spike.end_tokens = step, tokens
        if value > spike.peak:
            spike.peak, spike.peak_step = value, step

    def findings(self) -> list[Finding]:
        """Every spike so far, the open one as not recovered."""
        return [self.finding(spike) for spike in self.excursions]

    def finding(self, spike: Excursion) -> Finding:
        """One excursion, in words and numbers."""
        start = self._starting_loss if self._starting_loss is not None else spike.level
        place = "above" if spike.peak > start else "below"
        noise = f" ({spike.height / spike.sigma:.0f} sigma)" if spike.sigma > 0 else ""
        back = {} if spike.recovered_step is None else {"recovered_step": spike.recovered_step}
        return Finding(
            kind=FindingKind.SPIKE,
            start_step=spike.start_step,
            end_step=spike.end_step,
            severity=spike.height,
            recovered=spike.recovered,
            evidence=(
                f"loss {spike.peak:.4f} at step {spike.peak_step}, {spike.height:+.2f} nats{noise} "
                f"over the {spike.peak - spike.height:.4f} before; {place} the starting loss "
                f"{start:.4f}"
            ),
            numbers={
                "height_nats": spike.height,
                "level": spike.level,
                "previous": spike.previous,
                "previous_step": spike.previous_step,
                "peak": spike.peak,
                "peak_step": spike.peak_step,
                "sigma": spike.sigma,
                "starting_loss": start,
                "num_points": spike.num_points,
                "last": spike.current,
                **back,
            },
        )
