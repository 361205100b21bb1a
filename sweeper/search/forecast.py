"""What a run would do and cost, before anything is written: `sweeper run --dry-run`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import optuna

from sweeper.search.drawing.prescribed import fixed_trials, most_trials
from sweeper.search.drawing.samplers import new_sampler
from sweeper.search.drawing.space import distributions_of, draw
from sweeper.search.measured import Measured
from sweeper.search.verifying.prospects import Prospect, ablation_ahead, looks_ahead
from sweeper.search.workers.crew import Crew, assumed_crew, is_measured
from sweeper.search.workers.trainers import new_trainer
from sweeper.study import Hyperparameters, StudySpec

SAMPLED_TRIALS = 5


@dataclass(frozen=True)
class Forecast:
    """What a study would do.

    Attributes:
        num_trials: Trials in all.
        fixed: The trials that the study file prescribes, with what each is.
        sampled: The first trials that the sampler would draw, if nothing ended before.
        tokens: Training tokens if no trial is pruned.
        crew: Workers and threads.
        will_measure: Whether the run measures at its start which crew is fastest.
        measured: What they take here; None for a command, which is not run to find out.
        looks: What other seeds may take after the search; None without `verify`.
        ablation: What the ablation may take after these; None where none was asked for.
    """

    num_trials: int
    fixed: tuple[tuple[str, Hyperparameters], ...]
    sampled: tuple[Hyperparameters, ...]
    tokens: int
    crew: Crew
    will_measure: bool
    measured: Measured | None
    looks: Prospect | None = None
    ablation: Prospect | None = None


def forecast(spec: StudySpec) -> Forecast:
    """Measure some steps where we train them ourselves, and add up; leaves nothing behind.

    Raises:
        SweeperError: The study could not run.
    """
    fixed, sampled = _recipes(spec)
    num_trials = min(spec.budget.trials, most_trials(spec))
    tokens = num_trials * spec.budget.tokens_per_trial
    if spec.budget.tokens is not None:
        tokens = min(tokens, spec.budget.tokens)
    crew, measured = assumed_crew(spec), None
    if spec.command is not None:
        new_trainer(spec).prepare(lambda *_: None)
    else:
        from sweeper.search.measuring import measure

        recipes = [*(recipe for _, recipe in fixed), *sampled]
        measured = measure(spec, recipes, crew, tokens)
    return Forecast(
        num_trials,
        fixed,
        sampled,
        tokens,
        crew,
        is_measured(spec),
        measured,
        looks=looks_ahead(spec, spec.verify, num_trials) if spec.verify else None,
        ablation=ablation_ahead(spec, spec.verify, num_trials)
        if spec.verify and spec.verify.ablate
        else None,
    )


def _recipes(
    spec: StudySpec,
) -> tuple[tuple[tuple[str, Hyperparameters], ...], tuple[Hyperparameters, ...]]:
    """The prescribed trials, and what the sampler draws first: the run would draw the same."""
    fixed = fixed_trials(spec)[: spec.budget.trials]
    labels = ["baseline" if f.is_baseline else f.hypothesis or "listed" for f in fixed]
    named = tuple(zip(labels, (f.hyperparameters for f in fixed), strict=True))
    num_sampled = min(SAMPLED_TRIALS, min(spec.budget.trials, most_trials(spec)) - len(fixed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=new_sampler(spec, distributions_of(spec), len(fixed)))
        for _ in fixed:  # numbers decide the draws
            study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
        drawn = tuple(draw(study.ask(), spec) for _ in range(num_sampled))
    return named, drawn
