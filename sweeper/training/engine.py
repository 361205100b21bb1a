"""What every engine does: the seam between the training loop and a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

from sweeper.data import Blocks
from sweeper.errors import CheckpointError
from sweeper.study import Hyperparameters

EVALUATION_TOKENS = 2048  # of a trial in a pass; fixed, so that every trial is measured alike


@dataclass(frozen=True)
class Gradient:
    """What one effective batch says, before the optimizer acts on it.

    Attributes:
        train_loss: Mean over all counted tokens of the effective batch, in nats;
            None where the loss mask leaves none.
        grad_norm: Global L2 norm before clipping.
    """

    train_loss: float | None
    grad_norm: float


class Engine(Protocol):
    """Trains one adapter at a time on one base.

    The loop calls `start`, then for every step `accumulate` and `apply`, now and
    then `evaluate` and `state`, and `finish` at last. An engine holds no clock,
    schedule, budget or rule: those are the loop's.
    """

    def start(self, hyperparameters: Hyperparameters, seed: int) -> None:
        """Attach a fresh adapter and optimizer, and seed the generators.

        The same recipe and seed start from the same bits, whatever ran before.

        Raises:
            BaseError: The recipe does not fit the base.
        """

    def accumulate(self, batch: Blocks, micro_batch: int) -> Gradient:
        """Gradient of the mean loss over all tokens of an effective batch.

        However the blocks are cut into micro-batches, the last of them possibly
        short, the gradient is that of one big batch.

        Args:
            batch: The blocks of one effective batch.
            micro_batch: Blocks per forward pass, at least 1.

        Raises:
            torch.OutOfMemoryError, MemoryError, RuntimeError: The micro-batch
                does not fit. Adapter and optimizer are as before, and so are the
                generators; `accumulate` may be called again with a smaller one.
        """

    def apply(self, learning_rate: float) -> None:
        """Clip, and take one optimizer step with the accumulated gradient."""

    def evaluate(self, blocks: Blocks) -> float:
        """Mean loss over all counted tokens, in nats, dropout off.

        Raises:
            torch.OutOfMemoryError, MemoryError, RuntimeError: A pass does not fit.
        """

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that the next step depends on: adapter, optimizer, generators."""

    def load_state(self, tensors: dict[str, torch.Tensor]) -> None:
        """Continue from a `state`, bit for bit. Call `start` with the same recipe first.

        Raises:
            CheckpointError: Tensors are missing, left over, or of another shape.
        """

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter as a peft directory."""

    def finish(self) -> None:
        """Take the adapter off the base again."""


class Batch(NamedTuple):
    """What one seat of a pack learns from in one step.

    Attributes:
        blocks: The blocks of its effective batch.
        micro_batch: Its blocks per forward pass, at least 1.
    """

    blocks: Blocks
    micro_batch: int


class SeatOutOfMemory(Exception):
    """A pack ran out of memory over what one of its seats had to compute."""

    def __init__(self, seat: int) -> None:
        super().__init__(f"a pass of seat {seat} does not fit into the memory")
        self.seat = seat


class Pack(Protocol):
    """Engines on one base that take their steps together.

    What a seat gives does not depend on its neighbours, beyond rounding: not on
    how many they are, nor on what they train, nor on whether they diverge.
    """

    @property
    def seats(self) -> Sequence[Engine]:
        """The engines, each of which trains one adapter at a time; at least one."""

    def accumulate(self, batches: Mapping[int, Batch]) -> dict[int, Gradient]:
        """`Engine.accumulate` for several seats, by their index in `seats`.

        Raises:
            SeatOutOfMemory: A seat's micro-batch does not fit. All seats are as
                before, their generators included.
        """

    def apply(self, learning_rates: Mapping[int, float]) -> None:
        """`Engine.apply` for several seats."""

    def evaluate(self, seats: Collection[int], blocks: Blocks) -> dict[int, float]:
        """`Engine.evaluate` for several seats on the same blocks.

        Raises:
            SeatOutOfMemory: Not even a part of one seat's blocks fits. The others may.
        """


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    """The shapes of named tensors."""
    return {name: tensor.shape for name, tensor in tensors.items()}


def check_state(found: Mapping[str, torch.Tensor], shapes: Mapping[str, torch.Size]) -> None:
    """Refuse a state that was not saved by the same engine with the same recipe.

    Args:
        found: As it was saved.
        shapes: What it must have.

    Raises:
        CheckpointError: Tensors are missing, left over, or of another shape.
    """
    unlike = sorted(found.keys() ^ shapes.keys())
    if unlike:
        raise CheckpointError(f"the checkpoint is of another adapter: {', '.join(unlike[:3])}")
    for name, shape in shapes.items():
        if found[name].shape != shape:
            raise CheckpointError(
                f"the checkpoint's {name} has another shape: {[*found[name].shape]}, not {[*shape]}"
            )
