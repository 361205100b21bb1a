"""What the curve itself shows about a spike, in each series: level, peak, neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from sweeper.curves import Curve, Finding, FindingKind
from sweeper.curves.series import Series
from sweeper.curves.spike import LEVEL_POINTS
from sweeper.diagnosis.case import Case

SERIES = ("train_loss", "val_loss")
SERIES_WORDS = {"train_loss": "training", "val_loss": "validation"}
# A first loss that was logged later than this says nothing about the start.
LATEST_START_STEP = 100
RISING_KINDS = (FindingKind.SPIKE, FindingKind.DIVERGENCE)


Losses = Mapping[str, Series]


def losses_of(curve: Curve) -> Losses:
    """Both losses where they are finite; read once, for curves may be long."""
    return {name: Series.of(curve, name) for name in SERIES}


def without_steps(series: Series, excluded: frozenset[int]) -> Series:
    """The points at other steps than these."""
    if not excluded:
        return series
    return series.where(~np.isin(series.steps, np.array(sorted(excluded))))


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
        start_step: Its step; a log that begins late does not show the starting loss.
        elevated_steps: Steps at which it stood at least halfway up.
        after: The first value that is back down; None where the series ends before.
        after_step: Its step.
        settled: Median of it and the next few.
    """

    series: str
    level: float
    before: float
    before_step: int
    peak: float
    peak_step: int
    start: float
    start_step: int
    elevated_steps: tuple[int, ...]
    after: float | None
    after_step: int | None
    settled: float | None = None

    @property
    def base(self) -> float:
        """What it rose from: the lower of level and last value, as the detector has it."""
        return min(self.level, self.before)

    @property
    def height(self) -> float:
        """Peak over the base, in nats."""
        return self.peak - self.base

    @property
    def is_above_start(self) -> bool:
        """Whether it lost more than training had gained."""
        return self.shows_start and self.peak > self.start

    @property
    def shows_start(self) -> bool:
        """Whether the log begins early enough to show the loss before training."""
        return self.start_step <= LATEST_START_STEP

    @property
    def has_risen(self) -> bool:
        """Whether the series really took part: more than a twentieth above where it was."""
        return self.height > 0.05 * abs(self.base)


def finite_points(curve: Curve, name: str) -> list[tuple[int, float]]:
    """Steps and values of one quantity where it is finite."""
    series = Series.of(curve, name)
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def rises(curve: Curve, finding: Finding) -> tuple[Rise, ...]:
    """The spike in every series that rose in it, training first."""
    return rises_in(losses_of(curve), finding)


def rises_in(losses: Losses, finding: Finding) -> tuple[Rise, ...]:
    """The same for losses that were read already."""
    found = (_rise(name, losses[name], finding) for name in SERIES)
    return tuple(rise for rise in found if rise is not None)


def inside_of(series: Series, finding: Finding) -> Series:
    """The points of a series in a finding.

    A series that was logged at other steps than the one that rose may show it still after the
    last high step of that one, up to the first that is back.
    """
    back = finding.numbers.get("recovered_step", finding.end_step + 1)
    return series.between(finding.start_step, back - 1)


def _rise(name: str, series: Series, finding: Finding) -> Rise | None:
    before = series.between(-np.inf, finding.start_step - 1)
    inside = inside_of(series, finding)
    if not len(before) or not len(inside):
        return None
    highest = int(np.argmax(inside.values))
    last, peak = float(before.values[-1]), float(inside.values[highest])
    level = float(np.median(before.values[-LEVEL_POINTS:]))
    base = min(last, level)
    if peak <= base:
        return None
    elevated = inside.steps[inside.values >= (base + peak) / 2]
    end = inside.steps[-1] if finding.recovered else elevated[-1]
    later = series.between(end + 1, np.inf)
    return Rise(
        series=name,
        level=level,
        before=last,
        before_step=int(before.steps[-1]),
        peak=peak,
        peak_step=int(inside.steps[highest]),
        start=float(series.values[0]),
        start_step=int(series.steps[0]),
        elevated_steps=tuple(int(step) for step in elevated),
        after=float(later.values[0]) if len(later) else None,
        after_step=int(later.steps[0]) if len(later) else None,
        settled=float(np.median(later.values[:LEVEL_POINTS])) if len(later) else None,
    )


def main_rises(case: Case) -> tuple[Finding, ...]:
    """Every spike and divergence; a spike that a divergence begins with is one event with it."""
    lasting = case.of_kind(FindingKind.DIVERGENCE)
    return tuple(
        finding
        for finding in case.of_kind(*RISING_KINDS)
        if finding in lasting
        or finding.recovered
        or not any(d.start_step <= finding.end_step for d in lasting)
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
