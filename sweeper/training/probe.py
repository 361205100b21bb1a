"""How many tokens a second a process trains, alone or while others do the same beside it."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from sweeper.data import Blocks
from sweeper.models.base import Base
from sweeper.study import Hyperparameters, StudySpec, with_changes
from sweeper.training.bench_trainer import engine_of, ground_of
from sweeper.training.device import find_device, is_out_of_memory
from sweeper.training.engine import Batch, Pack, SeatOutOfMemory
from sweeper.training.packs import engine_for, new_pack
from sweeper.training.precision import precision_on
from sweeper.training.setup import PrecisionChoice, Setup
from sweeper.training.workbench import set_up

MEASURED_S = 0.6  # of every recipe; long enough for a median of some steps
_MOST_TOKENS = 2048  # of a measured batch: larger ones are cut into passes anyway


def probe(
    spec: StudySpec,
    setup: Setup,
    slots: Sequence[int],
    recipes: Sequence[Hyperparameters],
    meet: Callable[[str], None],
) -> tuple[PrecisionChoice, tuple[float, ...]]:
    """Measure what this process trains of a study.

    Args:
        spec: The study; its base must be there.
        setup: What it trains with; a precision that is not decided is decided first.
        slots: Numbers of trials at a time to measure.
        recipes: What is trained; one or more.
        meet: Called with a name before each measurement, which begins when it returns.

    Returns:
        What `precision: auto` comes to, and tokens a second in the order of `slots`: 0 for
        slots that the engine does not have, or that do not fit into the memory.
    """
    bench = set_up(ground_of(spec), find_device(setup.threads), precision=setup.precision)
    choice = precision_on(bench)
    resolved = [
        with_changes(r, {"precision": choice.precision}) if r.precision == "auto" else r
        for r in recipes
    ]
    engine = engine_for(engine_of(spec), bench.base, resolved[0])
    speeds = []
    for number in slots:
        pack = new_pack(engine, bench, number)
        has_slots = len(pack.seats) == number  # peft trains one trial at a time
        speeds.append(tokens_per_s(pack, bench.base, resolved, meet) if has_slots else 0.0)
    return choice, tuple(speeds)


def tokens_per_s(
    pack: Pack, base: Base, recipes: Sequence[Hyperparameters], meet: Callable[[str], None]
) -> float:
    """Tokens a second of a pack whose seats all train the same recipe, over several recipes.

    The harmonic mean over the recipes: each is a trial that spends the same tokens.

    Args:
        pack: A pack whose seats are free; they are free again afterwards.
        base: What it trains; gives the vocabulary and the longest block.
        recipes: One or more.
        meet: Called with a name before each measurement, which begins when it returns.

    Returns:
        0 where a pack does not fit into the memory.
    """
    seconds_per_token = []
    for number, recipe in enumerate(recipes):
        meet(f"{len(pack.seats)}-{number}")
        try:
            seconds_per_token.append(_seconds_per_token(pack, base, recipe))
        except (SeatOutOfMemory, RuntimeError, MemoryError) as error:
            if not isinstance(error, SeatOutOfMemory) and not is_out_of_memory(error):
                raise
            seconds_per_token.append(math.inf)  # and on: the others wait at the next meeting
    return len(seconds_per_token) / sum(seconds_per_token)


def _seconds_per_token(pack: Pack, base: Base, recipe: Hyperparameters) -> float:
    batch = _random_batch(base, recipe)
    seats = range(len(pack.seats))
    for seat in seats:
        pack.seats[seat].start(recipe, seed=seat)
    try:
        times_s: list[float] = []
        until = time.perf_counter() + MEASURED_S
        while len(times_s) < 3 or time.perf_counter() < until:
            began = time.perf_counter()
            pack.accumulate(dict.fromkeys(seats, batch))
            pack.apply(dict.fromkeys(seats, 1e-4))
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times_s.append(time.perf_counter() - began)
    finally:
        for seat in seats:
            pack.seats[seat].finish()
    return statistics.median(times_s[1:]) / (len(seats) * batch.blocks.inputs.size)


def _random_batch(base: Base, recipe: Hyperparameters) -> Batch:
    block_size = min(recipe.block_size, base.max_block_size or recipe.block_size)
    num_blocks = min(recipe.effective_batch, max(_MOST_TOKENS // block_size, 1))
    vocabulary = int(base.config["vocab_size"])
    tokens = np.random.default_rng(0).integers(0, vocabulary, (num_blocks, block_size))
    return Batch(Blocks(tokens, np.roll(tokens, -1, axis=1)), min(recipe.batch_size, num_blocks))
