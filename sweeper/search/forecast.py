"""What a run would do and cost, before anything is written: `sweeper run --dry-run`."""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna

from sweeper.data import training_blocks
from sweeper.search.runner import Crew, choose_crew
from sweeper.search.samplers import new_sampler
from sweeper.search.space import distributions_of, draw
from sweeper.search.store import fixed_trials, most_trials
from sweeper.search.worker import ground_of
from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.device import find_device
from sweeper.training.engine import Engine
from sweeper.training.manifest import RunPlan
from sweeper.training.pretrain import find_cached_base, prepare_base
from sweeper.training.trial import plan_run, seed_of
from sweeper.training.workbench import Workbench, lay_out

MEASURED_STEPS = 3
SAMPLED_TRIALS = 5
PRETRAINING_SECONDS = 100.0  # builtin:tiny on two cores


@dataclass(frozen=True)
class Forecast:
    """What a study would do; times are measured here, and hold for this machine.

    Attributes:
        num_trials: Trials in all.
        fixed: The trials that the study file prescribes, with what each is.
        sampled: The first trials that the sampler would draw, if nothing ended before.
        tokens: Training tokens if no trial is pruned.
        seconds: Time for them with all workers busy, evaluation included.
        tokens_per_s: Training speed of one worker, by block size.
        evaluation_share: Part of a trial's time that evaluation takes, 0 to 1.
        crew: Workers and threads.
        num_documents: Of the corpus, before the split.
        epoch_tokens: Training tokens in one pass over the corpus.
        evaluation_tokens: Predictions per evaluation.
        has_to_pretrain: Whether the embedded base must be made first.
    """

    num_trials: int
    fixed: tuple[tuple[str, Hyperparameters], ...]
    sampled: tuple[Hyperparameters, ...]
    tokens: int
    seconds: float
    tokens_per_s: Mapping[int, float]
    evaluation_share: float
    crew: Crew
    num_documents: int
    epoch_tokens: int
    evaluation_tokens: int
    has_to_pretrain: bool


def forecast(spec: StudySpec) -> Forecast:
    """Measure some steps and add up; leaves nothing behind.

    Raises:
        BaseError, DataError: The study could not run.
    """
    crew = choose_crew(spec)
    with _borrowed_base(spec) as (bench, has_to_pretrain), tempfile.TemporaryDirectory() as folder:
        fixed, sampled = _recipes(spec)
        recipes = [*(recipe for _, recipe in fixed), *sampled]
        for recipe in recipes:
            bench.check_block_size(recipe.block_size)
        speeds, evaluation_s = _measure(bench, recipes, Path(folder))
    num_trials = min(spec.budget.trials, most_trials(spec))
    per_trial = spec.budget.tokens_per_trial
    num_evaluations = math.ceil(per_trial / spec.evaluate.every_tokens)
    training_s = [per_trial / speeds[recipe.block_size] for recipe in recipes]
    mean_s = sum(training_s) / len(training_s)
    tokens = num_trials * per_trial
    if spec.budget.tokens is not None:
        tokens = min(tokens, spec.budget.tokens)
    whole_s = (mean_s + num_evaluations * evaluation_s) * tokens / per_trial / crew.count
    return Forecast(
        num_trials=num_trials,
        fixed=fixed,
        sampled=sampled,
        tokens=tokens,
        seconds=whole_s + (PRETRAINING_SECONDS if has_to_pretrain else 0.0),
        tokens_per_s=speeds,
        evaluation_share=num_evaluations * evaluation_s / (mean_s + num_evaluations * evaluation_s),
        crew=crew,
        num_documents=bench.num_documents,
        epoch_tokens=bench.stream(spec.seed).epoch_tokens,
        evaluation_tokens=bench.validation.num_targets,
        has_to_pretrain=has_to_pretrain,
    )


@contextmanager
def _borrowed_base(spec: StudySpec) -> Iterator[tuple[Workbench, bool]]:
    """The study's workbench; an embedded base that is not there yet is replaced untrained.

    An untrained base of the same shape is as fast, and takes no minutes to make.
    """
    ground = ground_of(spec)
    device = find_device(choose_crew(spec).threads)
    cached = find_cached_base(ground.model, ground.folder)
    if cached is not None:
        yield lay_out(ground, cached, device), False
        return
    before = os.environ.get("SWEEPER_CACHE")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["SWEEPER_CACHE"] = cache
        try:
            base = prepare_base("builtin:untrained", ground.folder, lambda *_: None)
        finally:
            os.environ.pop("SWEEPER_CACHE")
            if before is not None:
                os.environ["SWEEPER_CACHE"] = before
        yield lay_out(ground, base, device), spec.model == "builtin:tiny"


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


def _measure(
    bench: Workbench, recipes: Sequence[Hyperparameters], folder: Path
) -> tuple[dict[int, float], float]:
    """Training tokens per second for each block size, and seconds per evaluation."""
    engine = bench.new_engine()
    speeds: dict[int, float] = {}
    evaluation_s = 0.0
    for recipe in recipes:
        if recipe.block_size in speeds:
            continue
        plan = plan_run(bench, recipe, recipe.tokens_per_step, folder)
        engine.start(plan.hyperparameters, seed_of(plan))
        speeds[recipe.block_size] = _tokens_per_s(bench, engine, plan)
        engine.evaluate(bench.validation)  # the first is the base's, and slow
        engine.apply(learning_rate=0.0)
        began = time.perf_counter()
        engine.evaluate(bench.validation)
        evaluation_s = time.perf_counter() - began
        engine.finish()
    return speeds, evaluation_s


def _tokens_per_s(bench: Workbench, engine: Engine, plan: RunPlan) -> float:
    """Median over some steps of one micro-batch each, the first left out."""
    recipe = plan.hyperparameters
    batch = training_blocks(
        bench.stream(seed_of(plan)),
        start_tokens=0,
        num_blocks=recipe.batch_size,
        block_size=recipe.block_size,
    )
    seconds = []
    for _ in range(1 + MEASURED_STEPS):
        began = time.perf_counter()
        engine.accumulate(batch, recipe.batch_size)
        engine.apply(learning_rate=0.0)
        seconds.append(time.perf_counter() - began)
    return recipe.batch_size * recipe.block_size / statistics.median(seconds[1:])
