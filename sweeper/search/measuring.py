"""Measures what a study's trials will take, by some steps of them on this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sweeper.search.measured import Measured
from sweeper.search.workers.crew import Crew
from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.bases import find_cached_base, prepare_base
from sweeper.training.device import find_device
from sweeper.training.engine import Pack
from sweeper.training.ground import engine_of, ground_of
from sweeper.training.packs import engine_for, new_pack
from sweeper.training.precision import precision_on, resolved
from sweeper.training.timing import seconds_per_evaluation, seconds_per_token, two_passes
from sweeper.training.workbench import Workbench, lay_out

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
        choice = precision_on(bench)
        in_precision = [resolved(recipe, choice) for recipe in recipes]
        engine = engine_for(engine_of(spec), bench.base, in_precision[0])
        pack = new_pack(engine, bench, crew.slots)
        speeds, evaluation_s = _measure(bench, pack, in_precision)
    per_trial = spec.budget.tokens_per_trial
    evaluations_s = (1 + len(spec.evaluate.rungs.within(per_trial - 1))) * evaluation_s
    training_s = [per_trial / speeds[recipe.block_size] for recipe in recipes]
    trial_s = sum(training_s) / len(training_s) + evaluations_s
    shared_s = trial_s / crew.count
    whole_s = shared_s * tokens / per_trial
    return Measured(
        seconds=whole_s + (PRETRAINING_SECONDS if has_to_pretrain else 0.0),
        trial_s=shared_s,
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
    bench: Workbench, pack: Pack, recipes: Sequence[Hyperparameters]
) -> tuple[dict[int, float], float]:
    """Training tokens per second for each block size, and seconds per evaluation."""
    first_of = {recipe.block_size: recipe for recipe in reversed(recipes)}
    speeds = {
        recipe.block_size: 1
        / seconds_per_token(
            pack, bench.base, recipe, bench.device, most_tokens=two_passes(recipe, bench.device)
        )
        for recipe in first_of.values()
    }
    evaluation_s = seconds_per_evaluation(
        pack, bench.base, recipes[0], bench.validation, bench.device
    )
    return speeds, evaluation_s
