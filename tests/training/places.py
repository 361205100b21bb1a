"""Engines under test, each with data for it, on every device that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from sweeper.data import Blocks, training_blocks
from sweeper.models.base import Base
from sweeper.study import Hyperparameters
from sweeper.training.device import Device
from sweeper.training.engine import Engine
from sweeper.training.packed.engine import PackedEngine
from sweeper.training.peft_engine import PeftEngine
from sweeper.training.workbench import Workbench
from tests import tiny

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = [pytest.param("cpu"), pytest.param("cuda", marks=needs_cuda)]
ALL_MODULES = tiny.recipe(rank=3, train_also="embeddings+norms", target_modules="c_attn+c_fc")

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Kind:
    """A kind of engine, and what the contract leaves to it.

    Attributes:
        new: Makes one.
        recipes: Unlike recipes; the first trains as much of the base as the kind can.
        trains_whole: Whether parts of the base can be trained whole, by `train_also`.
        refusal: The type and a part of the message of a micro-batch that does not fit.
    """

    new: Callable[[Base, Device], Engine]
    recipes: tuple[Hyperparameters, ...]
    trains_whole: bool
    refusal: tuple[type[Exception], str]

    @property
    def widest(self) -> Hyperparameters:
        """The recipe that trains the most."""
        return self.recipes[0]


def _middle_seat(base: Base, device: Device) -> Engine:
    """The second of three seats: a row that is neither the first, nor the last, nor all."""
    return PackedEngine(base, device, num_seats=3).seats[1]


def _seat_among_others(base: Base, device: Device) -> Engine:
    """The same with both neighbours taken: it lies among the padding of a larger rank."""
    left, seat, right = PackedEngine(base, device, num_seats=3).seats
    left.start(tiny.recipe(rank=9), 0)
    right.start(tiny.recipe(rank=4, target_modules="c_attn+c_fc", dropout=0.5), 0)
    return seat


_PACKED = Kind(
    _middle_seat,
    (
        ALL_MODULES.model_copy(update={"train_also": ""}),
        tiny.recipe(target_modules="h.1.attn.c_attn+h.1.mlp.c_proj"),
        tiny.RECIPE,
    ),
    trains_whole=False,
    refusal=(MemoryError, "does not fit"),
)

KINDS = {
    "peft": Kind(
        PeftEngine,
        (ALL_MODULES, tiny.recipe(train_also="norms"), tiny.RECIPE),
        trains_whole=True,
        refusal=(RuntimeError, "allocate memory"),
    ),
    "packed": _PACKED,
    "packed among others": replace(_PACKED, new=_seat_among_others),
}


@dataclass(frozen=True)
class Place:
    """An engine with data for it: blocks of answers, of which each counts other targets."""

    engine: Engine
    bench: Workbench
    kind: Kind

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


def with_changes(*changes: dict[str, Any]) -> pytest.MarkDecorator:
    """Every change of a recipe on every engine that it is for.

    What a recipe trains whole is for peft alone: the seats of a pack share the base.
    """
    return pytest.mark.parametrize(
        ("place", "changes"),
        [
            pytest.param(name, change, id=f"{name}-{'+'.join(change) or 'unchanged'}")
            for change in changes
            for name, kind in KINDS.items()
            if kind.trains_whole or not change.get("train_also")
        ],
        indirect=["place"],
    )


@contextmanager
def started(place: Place, recipe: Hyperparameters = tiny.RECIPE, seed: int = 3) -> Iterator[Engine]:
    """The engine with a recipe, free again afterwards."""
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
