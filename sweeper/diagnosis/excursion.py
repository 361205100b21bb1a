"""What the curve itself shows about a spike, in each series: level, peak, neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.curves import Curve, Finding, FindingKind
from sweeper.curves.spike import LEVEL_POINTS

SERIES = ("train_loss", "val_loss")
SERIES_WORDS = {"train_loss": "training", "val_loss": "validation"}
RISING_KINDS = (FindingKind.SPIKE, FindingKind.DIVERGENCE)


@dataclass(frozen=True)
class Series:
    """The finite values of one quantity, by step."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.steps)

    def between(self, first: float, last: float) -> Series:
        """The points from one step to another, both included."""
        low, high = np.searchsorted(self.steps, [first, last + 0.5])
        return Series(self.steps[low:high], self.values[low:high])

    def without(self, excluded: frozenset[int]) -> Series:
        """The points at other steps than these."""
        if not excluded:
            return self
        keep = ~np.isin(self.steps, np.array(sorted(excluded)))
        return Series(self.steps[keep], self.values[keep])


Losses = Mapping[str, Series]


def losses_of(curve: Curve) -> Losses:
    """Both losses where they are finite; read once, for curves may be long."""
    return {name: series_of(curve, name) for name in SERIES}


def series_of(curve: Curve, name: str) -> Series:
    """One quantity of a curve where it is finite."""
    pairs = [(p.step, getattr(p, name)) for p in curve if getattr(p, name) is not None]
    steps = np.array([step for step, _ in pairs], dtype=np.int64)
    values = np.array([value for _, value in pairs], dtype=np.float64)
    finite = np.isfinite(values)
    return Series(steps[finite], values[finite])


@dataclass(frozen=True)
class Rise:
    """One series around a spike.

    Attributes:
        series: `train_loss` or `val_loss`.
        level: Median of the last points before it, in nats.
        before: The last value before it.
        before_step: Its step.
        peak: The highest value of it.
        peak_step: Its step.
        start: The first value of the whole series.
        elevated_steps: Steps at which it stood at least halfway up.
        after: The first value after them; None where the series ends in it.
        after_step: Its step.
    """

    series: str
    level: float
    before: float
    before_step: int
    peak: float
    peak_step: int
    start: float
    elevated_steps: tuple[int, ...]
    after: float | None
    after_step: int | None

    @property
    def height(self) -> float:
        """Peak over the last value before it, in nats."""
        return self.peak - self.before

    @property
    def is_above_start(self) -> bool:
        """Whether it lost more than training had gained."""
        return self.peak > self.start

    @property
    def has_risen(self) -> bool:
        """Whether the series really took part: more than a twentieth above where it was."""
        return self.height > 0.05 * abs(self.before)


def finite_points(curve: Curve, name: str) -> list[tuple[int, float]]:
    """Steps and values of one quantity where it is finite."""
    series = series_of(curve, name)
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def rises(curve: Curve, finding: Finding) -> tuple[Rise, ...]:
    """The spike in every series that has points before and inside it, training first."""
    return rises_in(losses_of(curve), finding)


def rises_in(losses: Losses, finding: Finding) -> tuple[Rise, ...]:
    """The same for losses that were read already."""
    found = (_rise(name, losses[name], finding) for name in SERIES)
    return tuple(rise for rise in found if rise is not None)


def _rise(name: str, series: Series, finding: Finding) -> Rise | None:
    before = series.between(-np.inf, finding.start_step - 1)
    inside = series.between(finding.start_step, finding.end_step)
    if not len(before) or not len(inside):
        return None
    highest = int(np.argmax(inside.values))
    last, peak = float(before.values[-1]), float(inside.values[highest])
    elevated = inside.steps[inside.values >= (last + peak) / 2]
    later = series.between(elevated[-1] + 1, np.inf)
    return Rise(
        series=name,
        level=float(np.median(before.values[-LEVEL_POINTS:])),
        before=last,
        before_step=int(before.steps[-1]),
        peak=peak,
        peak_step=int(inside.steps[highest]),
        start=float(series.values[0]),
        elevated_steps=tuple(int(step) for step in elevated),
        after=float(later.values[0]) if len(later) else None,
        after_step=int(later.steps[0]) if len(later) else None,
    )


def excluded_steps(findings: Iterable[Finding], losses: Losses) -> frozenset[int]:
    """Steps that belong to spikes: they tell nothing about trend, level or gap."""
    return frozenset(
        step
        for finding in findings
        if finding.kind is FindingKind.SPIKE
        for rise in rises_in(losses, finding)
        for step in rise.elevated_steps
    )
