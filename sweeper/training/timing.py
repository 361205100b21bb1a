"""How long steps and evaluations of a pack take, on tokens that mean nothing."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from sweeper.data import Blocks
from sweeper.models.base import Base
from sweeper.study import Hyperparameters
from sweeper.training.device import Device
from sweeper.training.engine import Batch, Pack
from sweeper.training.packed.engine import pass_tokens

LEAST_CALLS = 3
_LEARNING_RATE = 1e-4


def median_seconds(work: Callable[[], object], device: Device, *, least_s: float = 0.0) -> float:
    """Median seconds of a call, the first left out.

    Args:
        work: What is timed; called four times or more.
        device: What it uses; waited for after every call.
        least_s: Seconds for which it is called again and again.
    """
    times_s: list[float] = []
    until = time.perf_counter() + least_s
    while len(times_s) < 1 + LEAST_CALLS or time.perf_counter() < until:
        began = time.perf_counter()
        work()
        _wait_for(device)
        times_s.append(time.perf_counter() - began)
    return statistics.median(times_s[1:])


def two_passes(recipe: Hyperparameters, device: Device) -> int:
    """Tokens that are enough to time a large batch by: what is beyond takes as long again."""
    return 2 * pass_tokens(recipe.precision, device)


def seconds_per_token(
    pack: Pack,
    base: Base,
    recipe: Hyperparameters,
    device: Device,
    *,
    least_s: float = 0.0,
    most_tokens: int = sys.maxsize,
) -> float:
    """Of training a recipe in all seats of a pack, the tokens of all seats counted.

    Args:
        pack: A pack whose seats are free; they are free again afterwards.
        base: What it trains; gives the vocabulary and the longest block.
        recipe: What is trained.
        device: Where it trains.
        least_s: Seconds to measure for.
        most_tokens: Of a step; a larger effective batch is cut, and its step is shorter.

    Raises:
        SeatOutOfMemory, MemoryError, RuntimeError: A step does not fit.
    """
    batch = random_batch(base, recipe, most_tokens)
    with _started(pack, recipe):
        step_s = median_seconds(lambda: _step(pack, batch), device, least_s=least_s)
    return step_s / (len(pack.seats) * batch.blocks.inputs.size)


def seconds_per_evaluation(
    pack: Pack, base: Base, recipe: Hyperparameters, blocks: Blocks, device: Device
) -> float:
    """Of evaluating one seat's adapter, where all seats are evaluated together.

    Args:
        pack: A pack whose seats are free; they are free again afterwards.
        base: What it trains.
        recipe: What its seats train.
        blocks: What they are evaluated on.
        device: Where.
    """
    seats = range(len(pack.seats))
    with _started(pack, recipe):
        _step(pack, random_batch(base, recipe))  # a fresh adapter would not be computed
        return median_seconds(lambda: pack.evaluate(seats, blocks), device) / len(seats)


def random_batch(base: Base, recipe: Hyperparameters, most_tokens: int = sys.maxsize) -> Batch:
    """Random tokens in the shape of a recipe's effective batch, or of as much as is allowed."""
    block_size = min(recipe.block_size, base.max_block_size or recipe.block_size)
    num_blocks = min(recipe.effective_batch, max(most_tokens // block_size, 1))
    vocabulary = int(base.config["vocab_size"])
    tokens = np.random.default_rng(0).integers(0, vocabulary, (num_blocks, block_size))
    return Batch(Blocks(tokens, np.roll(tokens, -1, axis=1)), min(recipe.batch_size, num_blocks))


@contextmanager
def _started(pack: Pack, recipe: Hyperparameters) -> Iterator[None]:
    for number, seat in enumerate(pack.seats):
        seat.start(recipe, seed=number)
    try:
        yield
    finally:
        for seat in pack.seats:
            seat.finish()


def _step(pack: Pack, batch: Batch) -> None:
    seats = range(len(pack.seats))
    pack.accumulate(dict.fromkeys(seats, batch))
    pack.apply(dict.fromkeys(seats, _LEARNING_RATE))


def _wait_for(device: Device) -> None:
    if device.kind == "cuda":
        torch.cuda.synchronize()
    elif device.kind == "mps":
        torch.mps.synchronize()
