"""What a planned study and its trials may spend, and how often they are evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweeper.curves.series import Series
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.plan.baseline import PlannedBaseline
from sweeper.diagnosis.plan.ground import Ground
from sweeper.diagnosis.plan.hypotheses import PlannedHypothesis
from sweeper.diagnosis.plan.length import length_of
from sweeper.study import Hyperparameters, with_changes
from sweeper.study.quantities import LARGEST_TOKENS

STAND_IN_TOKENS = 240_000  # a minute or two for a trial on a laptop
SEARCHED_TRIALS = 12
_FEWEST_RUNGS = 4
# Where a base stands in, trials are so short that more rungs would be evaluated on too little.
_STAND_IN_RUNGS = 6
_RUNGS, _MOST_RUNGS = 12, 60


@dataclass(frozen=True)
class PlannedBudget:
    """Tokens, trials and rungs.

    Attributes:
        tokens_per_trial: Of one trial.
        trials: In all.
        every_tokens: Between evaluations.
        basis: Where the tokens are from, a sentence.
        seconds_per_trial: At the speed of the log; None where that says nothing about a trial.
    """

    tokens_per_trial: int
    trials: int
    every_tokens: int
    basis: str
    seconds_per_trial: float | None


def plan_budget(
    case: Case,
    baseline: PlannedBaseline,
    hypotheses: Sequence[PlannedHypothesis],
    ground: Ground,
) -> PlannedBudget:
    """The run's own length in tokens; less where a base of ours stands in."""
    steps, whose = length_of(case)
    per_step = case.config.tokens_per_step or baseline.hyperparameters.tokens_per_step
    full = max(steps * per_step, 1)
    basis = f"{whose} {steps:,} steps of {per_step:,} tokens"
    if ground.model_stands_in and full > STAND_IN_TOKENS:
        basis += f" make {full:,}; less here, for the base only stands in"
        full = STAND_IN_TOKENS
    recipes = [baseline.hyperparameters, *_changed(baseline.hyperparameters, hypotheses)]
    least = max(recipe.tokens_per_step for recipe in recipes)
    if full < least:
        basis += "; raised to one step of the longest"
    tokens = min(max(full, least), LARGEST_TOKENS)
    return PlannedBudget(
        tokens_per_trial=tokens,
        trials=1 + len(hypotheses) + SEARCHED_TRIALS,
        every_tokens=_every_tokens(case, per_step, tokens, stands_in=ground.model_stands_in),
        basis=basis,
        seconds_per_trial=None if ground.model_stands_in else _seconds(case, tokens / per_step),
    )


def _seconds(case: Case, num_steps: float) -> float | None:
    times = Series.of(case.curve, "step_seconds").values
    return float(np.median(times)) * num_steps if len(times) else None


def _changed(
    start: Hyperparameters, hypotheses: Sequence[PlannedHypothesis]
) -> list[Hyperparameters]:
    return [with_changes(start, hypothesis.change) for hypothesis in hypotheses]


def _every_tokens(case: Case, per_step: int, tokens: int, *, stands_in: bool) -> int:
    """The run's own interval where it makes a fair number of rungs, else that number's."""
    rungs, most = (_STAND_IN_RUNGS,) * 2 if stands_in else (_RUNGS, _MOST_RUNGS)
    interval = case.config.number("eval_steps")
    if interval is not None and interval >= 1:
        own = int(interval) * per_step
        if _FEWEST_RUNGS <= tokens // own <= most:
            return own
    neat = int(float(f"{tokens / rungs:.1e}"))
    return max(neat, min(per_step, tokens), 1)
