"""What rules read off a curve and a configuration, and no detector says."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from sweeper.curves import Curve, Finding, FindingKind
from sweeper.curves.series import Series
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, RunConfig
from sweeper.diagnosis.excursion import (
    LATEST_START_STEP,
    SERIES,
    SERIES_WORDS,
    Rise,
    inside_of,
    main_rises,
    rises,
)
from sweeper.diagnosis.rate import schedule_of
from sweeper.study.schedule import learning_rate_at

# Trailing gradient norms that tell the usual one, and points before an onset that may foretell it.
_GRADIENT_WINDOW = 32
_PRECURSOR_POINTS = 5
_RATE_SAMPLES = 2000


@dataclass(frozen=True)
class Start:
    """The first finite loss of a log.

    Attributes:
        step: Its step, at most 100.
        loss: In nats; the training loss where there is one.
    """

    step: int
    loss: float


@dataclass(frozen=True)
class GradientJump:
    """The gradient norm around an event.

    Attributes:
        usual: Median of the norms before it.
        peak: Largest norm in it and in the five points before; infinite where one is no number.
        peak_step: Its step.
    """

    usual: float
    peak: float
    peak_step: int

    @property
    def ratio(self) -> float:
        """Peak over the usual norm."""
        return self.peak / self.usual if self.usual > 0 else math.inf


def start_of(curve: Curve) -> Start | None:
    """The loss before training changed much; None where the log begins too late."""
    for point in curve:
        if point.step > LATEST_START_STEP:
            return None
        for loss in (point.train_loss, point.val_loss):
            if loss is not None and math.isfinite(loss):
                return Start(point.step, loss)
    return None


def surges(case: Case) -> tuple[Finding, ...]:
    """Spikes and divergences; a spike that a divergence begins with is one with it."""
    return main_rises(case)


def main_surge(case: Case) -> Finding | None:
    """The highest spike or divergence; the first of equals."""
    return max(
        surges(case),
        key=lambda finding: finding.severity if math.isfinite(finding.severity) else 0.0,
        default=None,
    )


def main_break(case: Case) -> Finding | None:
    """The highest spike or divergence; where there is none, the first loss that is no number."""
    return main_surge(case) or next(iter(case.of_kind(FindingKind.NON_FINITE)), None)


def main_plateau(case: Case) -> Finding | None:
    """The longest stretch on which nothing is gained: a plateau, or a loss that never fell."""
    plateaus = case.of_kind(FindingKind.PLATEAU, FindingKind.NEVER_LEARNED)
    return max(plateaus, key=lambda finding: finding.end_step - finding.start_step, default=None)


def previous_step(curve: Curve, step: int) -> int | None:
    """The last step before one at which a finite loss was logged."""
    for point in reversed(curve.points[: _index(curve, step)]):
        losses = (point.train_loss, point.val_loss)
        if any(loss is not None and math.isfinite(loss) for loss in losses):
            return point.step
    return None


@dataclass(frozen=True)
class Witness:
    """What one series did in an event, as far as it was logged before and inside it.

    Attributes:
        name: `training` or `validation`.
        rise: None where it did not rise at all.
    """

    name: str
    rise: Rise | None

    @property
    def has_risen(self) -> bool:
        """Whether it really took part."""
        return self.rise is not None and self.rise.has_risen

    @property
    def height(self) -> float:
        """In nats."""
        return self.rise.height if self.rise is not None else 0.0

    @property
    def is_above_start(self) -> bool:
        """Whether it rose above the starting loss."""
        return self.rise is not None and self.rise.is_above_start

    def __str__(self) -> str:
        if self.rise is None:
            return f"{self.name} did not rise"
        height, peak = phrases.nats(self.rise.height), phrases.loss(self.rise.peak)
        return f"{self.name} rose by {height} nats to {peak}"


def witness(curve: Curve, finding: Finding, series: str) -> Witness | None:
    """One series in an event; None where it was not logged before or inside it."""
    values = Series.of(curve, series)
    if not len(inside_of(values, finding)) or values.steps[0] >= finding.start_step:
        return None
    found = {rise.series: rise for rise in rises(curve, finding)}
    return Witness(SERIES_WORDS[series], found.get(series))


def testimony(finding: Finding, *witnesses: Witness) -> str:
    """What the series did in an event, without a full stop."""
    words = phrases.joined([str(each) for each in witnesses])
    return f"{words[:1].upper()}{words[1:]} at step {finding.start_step:,}"


def gradients_are_placeholders(curve: Curve) -> bool:
    """Whether the norms are all 0 while the loss moves: then nobody measured them."""
    _, norms = curve.over_steps("grad_norm")
    if not len(norms) or np.any(norms):  # NaN counts as a measurement
        return False
    return len(np.unique(Series.of(curve, "train_loss").values)) > 1


def gradient_jump(curve: Curve, finding: Finding) -> GradientJump | None:
    """The gradient norm at an event against the usual one; None where too few were logged."""
    begin = _index(curve, finding.start_step)
    end = _index(curve, finding.end_step + 1)
    early = max(begin - _PRECURSOR_POINTS, 0)
    usual = [
        point.grad_norm
        for point in curve.points[max(early - _GRADIENT_WINDOW, 0) : max(early, 1)]
        if point.grad_norm is not None and math.isfinite(point.grad_norm)
    ]
    norms = [
        (point.grad_norm if math.isfinite(point.grad_norm) else math.inf, point.step)
        for point in curve.points[max(early, 1) : end]
        if point.grad_norm is not None
    ]
    if not usual or not norms:
        return None
    peak, peak_step = max(norms, key=lambda norm: norm[0])
    return GradientJump(float(np.median(usual)), peak, peak_step)


def plateau_level(case: Case, plateau: Finding) -> float | None:
    """The loss of a plateau in nats: of the validation set where there is one."""
    level = plateau.numbers.get("level")
    if level is not None and math.isfinite(level):
        return level
    for series in reversed(SERIES):
        inside = Series.of(case.curve, series).between(plateau.start_step, plateau.end_step)
        if len(inside):
            return float(np.median(inside.values))
    return None


def epoch_steps(case: Case) -> float | None:
    """Steps in one pass over the corpus: by the log's epochs, else by the corpus's size."""
    for point in reversed(case.curve.points):
        if point.epoch is not None and math.isfinite(point.epoch) and point.epoch > 0:
            return point.step / point.epoch if point.step > 0 else None
    per_step = case.config.tokens_per_step
    if case.corpus is None or not per_step or not case.corpus.is_exact:
        return None
    return case.corpus.num_tokens / per_step


def trains_adapter(config: RunConfig) -> bool | None:
    """Whether a LoRA adapter is trained; None where nothing tells."""
    known = any(config.get(name) is not None for name in ("rank", "alpha", "target_modules"))
    return True if known else None


def peak_rate(case: Case) -> float | None:
    """The highest learning rate: as configured, else as logged."""
    configured = case.config.number("learning_rate")
    if configured is not None and 0 < configured < math.inf:
        return configured
    rates = Series.of(case.curve, "learning_rate").values
    peak = float(np.max(rates, initial=0.0))
    return peak if peak > 0 else None


def summed_rate(case: Case, num_steps: int) -> float | None:
    """The sum of the learning rates of the first steps.

    It bounds how far Adam can have moved any one weight, but for rare gradients: a step is at most
    about as long as the rate (Kingma & Ba 2015, arXiv:1412.6980, section 2.1).
    """
    if num_steps <= 0:
        return None
    schedule = schedule_of(case.config)
    if schedule is not None:
        total = whole_number(case.config, "total_steps") or 0
        steps = np.linspace(0, num_steps - 1, min(num_steps, _RATE_SAMPLES)).astype(int)
        rates = [learning_rate_at(int(step), total, schedule) for step in steps]
        return float(np.mean(rates)) * num_steps
    logged = Series.of(case.curve, "learning_rate").between(0, num_steps)
    if not len(logged) or logged.steps[-1] == 0:
        return None
    return float(np.sum(np.diff(logged.steps, prepend=0) * logged.values))


def _index(curve: Curve, step: int) -> int:
    """The place of the first point at or after a step."""
    return bisect_left(curve.points, step, key=lambda point: point.step)


def whole_number(config: RunConfig, name: str) -> int | None:
    """A setting that counts something; None where it is unknown, or no count."""
    value = config.number(name)
    return int(value) if value is not None and 1 <= value < 1e15 else None
