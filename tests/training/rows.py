"""A pack of several seats that is nothing but engines side by side, each with its own base."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sweeper.data import Blocks
from sweeper.training.engine import Batch, Engine, Gradient, SeatOutOfMemory
from sweeper.training.workbench import Workbench


class Row:
    """A pack that computes what the engines would alone, and writes down what it is asked.

    Attributes:
        steps: The seats of every step that was taken.
        evaluations: The seats of every evaluation.
        limits: Blocks that fit the memory at most, for the seats that it is short for.
        defect: What the next `accumulate` raises, once.
    """

    def __init__(self, bench: Workbench, num_seats: int) -> None:
        self.seats: tuple[Engine, ...] = tuple(bench.new_engine() for _ in range(num_seats))
        self.steps: list[list[int]] = []
        self.evaluations: list[list[int]] = []
        self.limits: dict[int, int] = {}
        self.defect: Exception | None = None

    def accumulate(self, batches: Mapping[int, Batch]) -> dict[int, Gradient]:
        if self.defect is not None:
            defect, self.defect = self.defect, None
            raise defect
        for seat, (blocks, micro_batch) in batches.items():
            if min(micro_batch, len(blocks.inputs)) > self.limits.get(seat, micro_batch):
                raise SeatOutOfMemory(seat)
        return {seat: self.seats[seat].accumulate(*batch) for seat, batch in batches.items()}

    def apply(self, learning_rates: Mapping[int, float]) -> None:
        self.steps.append(sorted(learning_rates))
        for seat, rate in learning_rates.items():
            self.seats[seat].apply(rate)

    def evaluate(self, seats: Collection[int], blocks: Blocks) -> dict[int, float]:
        self.evaluations.append(sorted(seats))
        return {seat: self.seats[seat].evaluate(blocks) for seat in seats}
