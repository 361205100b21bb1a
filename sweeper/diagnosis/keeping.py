"""Which checkpoints to keep, and which to ignore."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnosis import CheckpointAdvice
from sweeper.diagnosis.excursion import Losses, main_rises, rises_in
from sweeper.diagnosis.last_good import LastGood, damages_of, first_damage

# Validation losses this close, as a fraction, are as good as each other.
_AS_GOOD = 0.005
_MOST_STEPS = 12


@dataclass(frozen=True)
class _Ruin:
    """Steps whose weights are suspect, and why."""

    first_step: float
    last_step: float
    reason: str


def judge_checkpoints(case: Case, last_good: LastGood) -> tuple[CheckpointAdvice, ...]:
    """Keep or ignore, for every checkpoint that was found; without any, for the telling steps."""
    losses = case.losses
    found = sorted(case.checkpoint_steps)
    if not found:
        found = [(step, "") for step in _telling_steps(case, losses, last_good)]
    ruins = [_ruin(finding, losses) for finding in damages_of(case)]
    newest = nearest_checkpoint([step for step, _ in found], last_good.step)
    advice = []
    for step, name in found:
        keep, reason = _judged(case, losses, ruins, last_good, step, newest)
        advice.append(CheckpointAdvice(step, name, keep, reason))
    return tuple(advice)


def nearest_checkpoint(steps: Sequence[int], last: int | None) -> int | None:
    """The newest checkpoint at or before a step."""
    return max((step for step in steps if last is not None and step <= last), default=None)


def _telling_steps(case: Case, losses: Losses, last_good: LastGood) -> list[int]:
    """Without a folder: the steps that a reader asks about; none where nothing went wrong."""
    if first_damage(case) is None and not case.of_kind(FindingKind.OVERFIT):
        return []
    steps = {last_good.step, last_good.best_step}
    for finding in case.of_kind(FindingKind.NON_FINITE)[:1]:
        steps.add(finding.start_step)
    for finding in sorted(main_rises(case), key=lambda f: -f.severity)[: _MOST_STEPS // 4]:
        steps.add(finding.start_step)
        steps |= {rise.after_step for rise in rises_in(losses, finding)}
    series = losses["val_loss"] if len(losses["val_loss"]) else losses["train_loss"]
    if len(series):
        steps.add(int(series.steps[-1]))
    return sorted(step for step in steps if step is not None)


def _ruin(finding: Finding, losses: Losses) -> _Ruin:
    where = f"{phrases.KIND_WORDS[finding.kind]} at step {finding.start_step:,}"
    if not finding.recovered:
        return _Ruin(
            finding.start_step, math.inf, f"from the {where} on, which the run never got over"
        )
    seen = rises_in(losses, finding)
    if not seen:
        return _Ruin(finding.start_step, finding.end_step, f"inside the {where}")
    last = max(max(rise.elevated_steps[-1], (rise.after_step or 1) - 1) for rise in seen)
    rise = max(seen, key=lambda rise: rise.height)
    numbers = f"{phrases.loss(rise.peak)} against {phrases.loss(rise.before)} before it"
    return _Ruin(finding.start_step, last, f"inside the {where}: {numbers}")


def _judged(
    case: Case,
    losses: Losses,
    ruins: Sequence[_Ruin],
    last_good: LastGood,
    step: int,
    newest: int | None,
) -> tuple[bool, str]:
    for ruin in ruins:
        if ruin.first_step <= step <= ruin.last_step:
            return False, ruin.reason
    here = _at(losses, step)
    if step == newest:
        number = f" (validation {phrases.loss(here)})" if here is not None else ""
        if step == last_good.step:
            return True, f"the last good step by time{number}"
        return True, f"the newest at or before step {last_good.step:,}, the last good one{number}"
    if here is None:
        return True, "no sign of damage; not evaluated at this step"
    return _by_validation(case, losses, last_good, step, here)


def _at(losses: Losses, step: int) -> float | None:
    values = losses["val_loss"].between(step, step).values
    return float(values[0]) if len(values) else None


def _by_validation(
    case: Case, losses: Losses, last_good: LastGood, step: int, here: float
) -> tuple[bool, str]:
    """Against the best before the damage; without damage, against the best of all."""
    val = losses["val_loss"]
    if last_good.step is not None:
        val = val.between(-1, last_good.step)
    if not len(val):
        return True, f"no sign of damage (validation {phrases.loss(here)})"
    best = int(val.values.argmin())
    best_step, best_loss = int(val.steps[best]), float(val.values[best])
    if step == best_step:
        limit = " before the damage" if first_damage(case) and last_good.step is not None else ""
        return True, f"the lowest validation loss{limit}, {phrases.loss(here)}"
    numbers = f"{phrases.loss(here)} against {phrases.loss(best_loss)} at step {best_step:,}"
    damage = first_damage(case)
    after = damage is not None and step > damage.start_step
    remark = "; it comes after the damage, so check it before you build on it" if after else ""
    margin = _AS_GOOD * abs(best_loss)
    if here <= best_loss + margin:
        return True, f"as good by validation: {numbers}{remark}"
    return False, f"worse by validation: {numbers}"
