"""Engines under test, each with data for it, on every device that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch

from sweeper.data import Blocks, training_blocks
from sweeper.models.base import Base
from sweeper.study import Hyperparameters
from sweeper.training.device import Device
from sweeper.training.engine import Engine
from sweeper.training.peft_engine import PeftEngine
from sweeper.training.workbench import Workbench
from tests import tiny

ENGINES: list[Callable[[Base, Device], Engine]] = [PeftEngine]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = [pytest.param("cpu"), pytest.param("cuda", marks=needs_cuda)]
ALL_MODULES = tiny.recipe(rank=3, train_also="embeddings+norms", target_modules="c_attn+c_fc")

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Place:
    """An engine with data for it: blocks of answers, of which each counts other targets."""

    engine: Engine
    bench: Workbench

    def batch(self, step: int = 0, num_blocks: int = 7) -> Blocks:
        return training_blocks(
            self.bench.stream(0),
            start_tokens=step * num_blocks * 16,
            num_blocks=num_blocks,
            block_size=16,
        )

    def train(self, steps: range, micro_batch: int = 7) -> list[tuple[float | None, float]]:
        seen = []
        for step in steps:
            gradient = self.engine.accumulate(self.batch(step), micro_batch)
            self.engine.apply(5e-3)
            seen.append((gradient.train_loss, gradient.grad_norm))
        return seen

    def evaluate(self) -> float:
        return self.engine.evaluate(self.bench.validation)


@contextmanager
def started(place: Place, recipe: Hyperparameters = tiny.RECIPE, seed: int = 3) -> Iterator[Engine]:
    place.engine.start(recipe, seed)
    try:
        yield place.engine
    finally:
        place.engine.finish()


def copied(engine: Engine) -> Tensors:
    """The state now; the tensors of `state` may be the live ones."""
    return {name: tensor.clone() for name, tensor in engine.state().items()}


def weights(engine: Engine) -> Tensors:
    return {name: t for name, t in copied(engine).items() if name.startswith("weight/")}


def assert_equal_bits(one: Tensors, other: Tensors) -> None:
    assert one.keys() == other.keys()
    unlike = [name for name in one if not torch.equal(one[name], other[name])]
    assert not unlike
