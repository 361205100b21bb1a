"""Which step to go back to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweeper.curves import Finding, FindingKind
from sweeper.curves.series import Series
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.excursion import SERIES_WORDS, Losses, main_rises

# Validation losses this close, as a fraction, are as good as each other.
_AS_GOOD = 0.005


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

    A run that healed and then went below all that it had reached needs no going back. Where
    validation rises while training falls it is the step of the lowest validation loss.
    """
    losses = case.losses
    damage = first_damage(case)
    if damage is None:
        return _before_overfitting(case, losses)
    before = [series.between(-1, damage.start_step - 1) for series in losses.values()]
    steps = [int(series.steps[-1]) for series in before if len(series)]
    if not steps:
        return LastGood(None, f"Nothing good was logged before the {_words(damage)}.")
    step = max(steps)
    if damage.recovered and (healed := _improvement_after(losses, damage)):
        return LastGood(None, healed)
    best = _best_by_validation(losses, step)
    reason = f"Step {step:,} is the last one logged before the {_words(damage)}"
    if best is None or best[0] == step:
        return LastGood(step, f"{reason}.", step if best else None)
    here = _value_at(losses["val_loss"], step)
    own = f", {phrases.loss(here)} at {step:,}" if here is not None else ""
    return LastGood(
        step,
        f"{reason}; by validation loss step {best[0]:,} is the best before it "
        f"({phrases.loss(best[1])}{own}).",
        best[0],
    )


def _words(damage: Finding) -> str:
    return f"{phrases.KIND_WORDS[damage.kind]} at step {damage.start_step:,}"


def _improvement_after(losses: Losses, damage: Finding) -> str:
    """How far below its old best the run got after a spike; empty where it did not."""
    for name in ("val_loss", "train_loss"):
        before = losses[name].between(-1, damage.start_step - 1).values
        after = losses[name].between(damage.end_step + 1, math.inf)
        if not len(before) or not len(after):
            continue
        lowest = int(after.values.argmin())
        old, new = float(before.min()), float(after.values[lowest])
        if new < old - _AS_GOOD * abs(old):
            return (
                f"The {_words(damage)} healed: the {SERIES_WORDS[name]} loss went on to "
                f"{phrases.loss(new)} at step {int(after.steps[lowest]):,}, from "
                f"{phrases.loss(old)} at best before it. No need to go back."
            )
        return ""
    return ""


def damages_of(case: Case) -> tuple[Finding, ...]:
    """Spikes, divergences and losses that are no number, in the order of their steps."""
    found = [*main_rises(case), *case.of_kind(FindingKind.NON_FINITE)]
    return tuple(sorted(found, key=lambda finding: finding.start_step))


def first_damage(case: Case) -> Finding | None:
    """The first that never healed; where all healed, the first spike."""
    damages = damages_of(case)
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


def _value_at(series: Series, step: int) -> float | None:
    here = series.between(step, step).values
    return float(here[0]) if len(here) else None
