"""What a batch holds, and what each document in it costs the weights of an engine."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

import numpy as np

from sweeper.data import IGNORED_TARGET, Blocks, Detour, TokenStream, training_blocks
from sweeper.training.course import Course
from sweeper.training.engine import Engine
from sweeper.training.examination import ReadDocument
from sweeper.training.suspects import Suspects


class ReadBatch(NamedTuple):
    """One step's batch as the engine's present weights see it.

    Attributes:
        loss: In nats a token, dropout off; None where no token counts.
        documents: Those that it predicts tokens of, in their order.
    """

    loss: float | None
    documents: tuple[ReadDocument, ...]


class ReadSuspects(NamedTuple):
    """The suspected batches beside those that stand in for them; see `Examination`."""

    losses: tuple[float, ...]
    other_losses: tuple[float, ...]
    documents: tuple[ReadDocument, ...]
    other_document_losses: tuple[float, float] | None


class BatchReader:
    """Reads the batches of one run.

    Args:
        engine: Started with the run's recipe when a batch is read.
        course: The run's.
        stream: The run's.
    """

    def __init__(self, engine: Engine, course: Course, stream: TokenStream) -> None:
        self._engine = engine
        self._course = course
        self._stream = stream

    def read_suspects(self, suspects: Suspects) -> ReadSuspects:
        """The batches of the suspected steps, and those that stand in for them."""
        own = [self.read(self._stream, step) for step in suspects.steps]
        others = [self.read(other, s) for other in suspects.stand_ins for s in suspects.steps]
        documents = [document for batch in own for document in batch.documents]
        other_losses = [document.loss for batch in others for document in batch.documents]
        return ReadSuspects(
            tuple(batch.loss for batch in own if batch.loss is not None),
            tuple(batch.loss for batch in others if batch.loss is not None),
            tuple(sorted(documents, key=lambda document: -document.loss)),
            (median(other_losses), max(other_losses)) if other_losses else None,
        )

    def read(self, stream: TokenStream | Detour, step: int) -> ReadBatch:
        """What a step learns from, by way of the run's stream or a detour of it."""
        first, num_blocks = self._course.blocks_of(step - 1)
        start = first * self._course.block_size
        blocks = training_blocks(
            stream,
            start_tokens=start,
            num_blocks=num_blocks,
            block_size=self._course.block_size,
        )
        shift = stream.shift if isinstance(stream, Detour) else 0
        documents = tuple(self._documents(blocks, start + shift, step))
        return ReadBatch(self._engine.evaluate(blocks) if documents else None, documents)

    def _documents(self, blocks: Blocks, start: int, step: int) -> Iterator[ReadDocument]:
        place = 0  # among the targets, which stand one further on than the inputs
        for location, length in self._stream.passages(start + 1, blocks.targets.size):
            part = _only(blocks, place, place + length)
            place += length
            if part.num_targets:
                loss = self._engine.evaluate(part)
                yield ReadDocument(step=step, name=location.name, num_tokens=length, loss=loss)


def _only(blocks: Blocks, start: int, end: int) -> Blocks:
    """The blocks that hold the targets `[start, end)`, counted through, and no other target."""
    block_size = blocks.targets.shape[1]
    rows = slice(start // block_size, (end - 1) // block_size + 1)
    numbers = np.arange(blocks.targets.size).reshape(blocks.targets.shape)[rows]
    is_inside = (numbers >= start) & (numbers < end)
    targets = np.where(is_inside, blocks.targets[rows], IGNORED_TARGET)
    return Blocks(blocks.inputs[rows], targets)
