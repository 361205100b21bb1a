"""Measures what a study's trials will take, by some steps of them on this machine."""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sweeper.data import training_blocks
from sweeper.search.crew import Crew
from sweeper.search.measured import Measured
from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.bench_trainer import ground_of
from sweeper.training.device import find_device
from sweeper.training.engine import Engine
from sweeper.training.manifest import RunPlan
from sweeper.training.pretrain import find_cached_base, prepare_base
from sweeper.training.trial import plan_run, seed_of
from sweeper.training.workbench import Workbench, lay_out

MEASURED_STEPS = 3
PRETRAINING_SECONDS = 100.0  # builtin:tiny on two cores


def measure(
    spec: StudySpec, recipes: Sequence[Hyperparameters], crew: Crew, tokens: int
) -> Measured:
    """Measure some steps and add up; leaves nothing behind.

    Args:
        spec: The study.
        recipes: Trials that it will train.
        crew: Who trains them.
        tokens: Training tokens of all trials together.

    Raises:
        BaseError, DataError: The study could not run.
    """
    with _borrowed_base(spec, crew.threads) as (bench, has_to_pretrain):
        for recipe in recipes:
            bench.check_block_size(recipe.block_size)
        with tempfile.TemporaryDirectory() as folder:
            speeds, evaluation_s = _measure(bench, recipes, Path(folder))
    per_trial = spec.budget.tokens_per_trial
    evaluations_s = math.ceil(per_trial / spec.evaluate.every_tokens) * evaluation_s
    training_s = [per_trial / speeds[recipe.block_size] for recipe in recipes]
    trial_s = sum(training_s) / len(training_s) + evaluations_s
    whole_s = trial_s * tokens / per_trial / crew.count
    return Measured(
        seconds=whole_s + (PRETRAINING_SECONDS if has_to_pretrain else 0.0),
        tokens_per_s=speeds,
        evaluation_share=evaluations_s / trial_s,
        num_documents=bench.num_documents,
        epoch_tokens=bench.stream(spec.seed).epoch_tokens,
        evaluation_tokens=bench.validation.num_targets,
        has_to_pretrain=has_to_pretrain,
    )


@contextmanager
def _borrowed_base(spec: StudySpec, threads: int) -> Iterator[tuple[Workbench, bool]]:
    """The study's workbench; an embedded base that is not there yet is replaced untrained.

    An untrained base of the same shape is as fast, and takes no minutes to make.
    """
    ground = ground_of(spec)
    device = find_device(threads)
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
