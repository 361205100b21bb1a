"""What other seeds may take, as far as it is known before the search has found its best recipes.

At least the hypotheses about loss are looked at once. At most as many of the best recipes as were
asked for are recipes of their own, and no look decides anything before the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.search.drawing.prescribed import FixedTrial, fixed_trials
from sweeper.search.drawing.space import as_plain
from sweeper.search.verifying.variants import changes_between, experiment_but_for_seed
from sweeper.study import StudySpec, VerifySpec


@dataclass(frozen=True)
class Prospect:
    """Between what bounds a part of the verification lies.

    Attributes:
        least: Trials at least, each of a whole budget of tokens; one whose result another lends
            is none of them.
        most: Trials at most.
    """

    least: int
    most: int


def looks_ahead(spec: StudySpec, verify: VerifySpec, num_trials: int) -> Prospect:
    """Trials of all looks.

    Args:
        spec: The study.
        verify: What it asks for.
        num_trials: Of its search.
    """
    fixed = fixed_trials(spec)[:num_trials]
    asked = [trial for trial in fixed if _is_about_loss(spec, trial)]
    baseline = fixed[0]
    experiments = {_experiment(spec, trial) for trial in (baseline, *asked)}
    num_best = min(verify.top, num_trials - 1 - len(asked))
    num_arms = len(asked) + num_best
    return Prospect(
        least=verify.pairs[0] * len(experiments) if asked else 0,
        most=verify.pairs[-1] * (1 + num_arms) if num_arms else 0,
    )


def ablation_ahead(spec: StudySpec, verify: VerifySpec, num_trials: int) -> Prospect:
    """Trials of the ablation: none where the best recipe is one change from the baseline, or none.

    Of two changes, taking one back is making the other alone.

    Args:
        spec: The study.
        verify: What it asks for.
        num_trials: Of its search.
    """
    fixed = fixed_trials(spec)[:num_trials]
    num_changes = _most_changes(spec, fixed, may_sample=num_trials > len(fixed))
    num_recipes = {0: 0, 1: 0, 2: 2}.get(num_changes, 2 * num_changes)
    return Prospect(0, verify.pairs[0] * num_recipes if verify.ablate else 0)


def _most_changes(spec: StudySpec, fixed: Sequence[FixedTrial], *, may_sample: bool) -> int:
    baseline = fixed[0].hyperparameters
    has_splits = spec.command is not None
    listed = [
        len(changes_between(baseline, trial.hyperparameters, has_splits=has_splits))
        for trial in fixed
    ]
    one = spec.space.keys() >= {"batch_size", "accumulation"} and not has_splits
    sampled = len(spec.space.keys() - {"seed"}) - one if may_sample else 0
    return max([*listed, sampled])


def _is_about_loss(spec: StudySpec, trial: FixedTrial) -> bool:
    named = (h.expectation for h in spec.hypotheses if h.name == trial.hypothesis)
    expectation = next(named, None)
    return trial.hypothesis is not None and (expectation is None or expectation[0] == "val_loss")


def _experiment(spec: StudySpec, trial: FixedTrial) -> str:
    return experiment_but_for_seed(spec, as_plain(trial.hyperparameters))
