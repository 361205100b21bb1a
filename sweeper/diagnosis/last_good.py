"""Which step to go back to, and which checkpoints to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnosis import CheckpointAdvice
from sweeper.diagnosis.excursion import RISING_KINDS, Losses, Rise, losses_of, rises_in

# Validation losses this close, as a fraction, are as good as each other.
_AS_GOOD = 0.005
_DAMAGES = (*RISING_KINDS, FindingKind.NON_FINITE)


@dataclass(frozen=True)
class LastGood:
    """The last step before the first damage.

    Attributes:
        step: By time; None where there is none, or no need.
        reason: Why, in a sentence or two.
        best_step: By validation loss, among the steps up to `step`.
    """

    step: int | None
    reason: str
    best_step: int | None = None


def find_last_good(case: Case) -> LastGood:
    """The last logged step before the first damage that never healed, or else the first spike.

    Where validation rises while training falls it is the step of the lowest validation loss.
    """
    losses = losses_of(case.curve)
    damage = first_damage(case)
    if damage is None:
        return _before_overfitting(case, losses)
    before = [
        series.between(-1, damage.start_step - 1) for series in losses.values() if len(series)
    ]
    steps = [int(series.steps[-1]) for series in before if len(series)]
    if not steps:
        return LastGood(None, f"Nothing good was logged before {phrases.finding_words(damage)}.")
    step = max(steps)
    best = _best_by_validation(losses, step)
    reason = f"Step {step:,} is the last one logged before the {phrases.finding_words(damage)}"
    if best is None or best[0] == step:
        return LastGood(step, f"{reason}.", step if best else None)
    value = losses["val_loss"].between(step, step).values
    here = f", {phrases.loss(float(value[0]))} at {step:,}" if len(value) else ""
    return LastGood(
        step,
        f"{reason}; by validation loss step {best[0]:,} is the best before it "
        f"({phrases.loss(best[1])}{here}).",
        best[0],
    )


def first_damage(case: Case) -> Finding | None:
    """The first that never healed; where all healed, the first spike."""
    damages = sorted(case.of_kind(*_DAMAGES), key=lambda finding: finding.start_step)
    lasting = [finding for finding in damages if not finding.recovered]
    return next(iter(lasting or damages), None)


def _before_overfitting(case: Case, losses: Losses) -> LastGood:
    overfit = case.of_kind(FindingKind.OVERFIT)
    best = _best_by_validation(losses, None)
    if not overfit or best is None:
        return LastGood(None, "Nothing was damaged: there is no need to go back.")
    return LastGood(
        best[0],
        f"Step {best[0]:,} has the lowest validation loss, {phrases.loss(best[1])}; after it "
        "validation rises while training falls.",
        best[0],
    )


def _best_by_validation(losses: Losses, last: int | None) -> tuple[int, float] | None:
    series = losses["val_loss"]
    if last is not None:
        series = series.between(-1, last)
    if not len(series):
        return None
    best = int(series.values.argmin())
    return int(series.steps[best]), float(series.values[best])


def judge_checkpoints(case: Case, last_good: LastGood) -> tuple[CheckpointAdvice, ...]:
    """Keep or ignore, for every checkpoint that was found; without any, by the logged steps."""
    losses = losses_of(case.curve)
    if case.checkpoint_steps:
        found = sorted(case.checkpoint_steps)
        kept_step = nearest_checkpoint([step for step, _ in found], last_good.step)
        return tuple(
            _judged(case, losses, last_good, step, name, kept_step) for step, name in found
        )
    if first_damage(case) is None and not case.of_kind(FindingKind.OVERFIT):
        return ()
    return tuple(
        _judged(case, losses, last_good, step, "", last_good.step)
        for step in _telling_steps(case, losses, last_good)
    )


def nearest_checkpoint(steps: Sequence[int], last: int | None) -> int | None:
    """The newest checkpoint at or before a step."""
    return max((step for step in steps if last is not None and step <= last), default=None)


def _telling_steps(case: Case, losses: Losses, last_good: LastGood) -> list[int]:
    """Without a folder: the steps that a reader asks about."""
    steps = {last_good.step, last_good.best_step}
    for finding in case.of_kind(*_DAMAGES):
        steps.add(finding.start_step)
        for rise in rises_in(losses, finding):
            steps.add(rise.after_step)
    series = losses["val_loss"] if len(losses["val_loss"]) else losses["train_loss"]
    if len(series):
        steps.add(int(series.steps[-1]))
    return sorted(step for step in steps if step is not None)


def _judged(
    case: Case, losses: Losses, last_good: LastGood, step: int, name: str, kept_step: int | None
) -> CheckpointAdvice:
    ruined = _damage_at(case, losses, step)
    if ruined:
        return CheckpointAdvice(step, name, False, ruined)
    if step == kept_step:
        return CheckpointAdvice(step, name, True, _why_last_good(losses, last_good, step))
    best = _best_by_validation(losses, last_good.step)
    here = losses["val_loss"].between(step, step).values
    if best is None or not len(here):
        return CheckpointAdvice(step, name, True, "no sign of damage; not evaluated at this step")
    return _by_validation(case, step, name, float(here[0]), best)


def _damage_at(case: Case, losses: Losses, step: int) -> str:
    """Why the weights of this step are suspect; empty where they are not."""
    for finding in case.of_kind(*_DAMAGES):
        if finding.kind is FindingKind.NON_FINITE and step >= finding.start_step:
            return f"the loss is no number from step {finding.start_step:,} on"
        if not finding.recovered and step >= finding.start_step:
            return f"after the {phrases.finding_words(finding)}, which never came back"
        for rise in rises_in(losses, finding):
            if rise.elevated_steps[0] <= step <= rise.elevated_steps[-1]:
                return (
                    f"inside the spike: {phrases.loss(_value_at(losses, rise, step))} against "
                    f"{phrases.loss(rise.before)} before it"
                )
    return ""


def _value_at(losses: Losses, rise: Rise, step: int) -> float:
    here = losses[rise.series].between(step, step).values
    return float(here[0]) if len(here) else rise.peak


def _why_last_good(losses: Losses, last_good: LastGood, step: int) -> str:
    here = losses["val_loss"].between(step, step).values
    number = f" (validation {phrases.loss(float(here[0]))})" if len(here) else ""
    if step == last_good.step:
        return f"the last good step by time{number}"
    return f"the newest checkpoint at or before step {last_good.step:,}, the last good one{number}"


def _by_validation(
    case: Case, step: int, name: str, value: float, best: tuple[int, float]
) -> CheckpointAdvice:
    damage = first_damage(case)
    is_after = damage is not None and step > damage.start_step
    if step == best[0]:
        return CheckpointAdvice(
            step,
            name,
            True,
            f"the lowest validation loss before the damage, {phrases.loss(value)}"
            if damage
            else f"the lowest validation loss, {phrases.loss(value)}",
        )
    if value <= best[1] * (1 + _AS_GOOD):
        against = f"{phrases.loss(value)} against {phrases.loss(best[1])} at step {best[0]:,}"
        remark = "; it comes after the spike, so check it before building on it" if is_after else ""
        return CheckpointAdvice(step, name, True, f"as good by validation: {against}{remark}")
    worse = f"{phrases.loss(value)} against {phrases.loss(best[1])} at step {best[0]:,}"
    return CheckpointAdvice(step, name, False, f"worse by validation: {worse}")
