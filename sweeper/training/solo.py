"""A pack of one seat around any engine: for recipes that have to train alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sweeper.data import Blocks
from sweeper.training.device import is_out_of_memory
from sweeper.training.engine import Batch, Engine, Gradient, SeatOutOfMemory


class SoloPack:
    """A `Pack` of one seat, which is the engine as it is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def seats(self) -> Sequence[Engine]:
        """See `Pack.seats`."""
        return (self._engine,)

    def accumulate(self, batches: Mapping[int, Batch]) -> dict[int, Gradient]:
        """See `Pack.accumulate`."""
        ((seat, batch),) = batches.items()
        try:
            return {seat: self._engine.accumulate(batch.blocks, batch.micro_batch)}
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise SeatOutOfMemory(seat) from error

    def apply(self, learning_rates: Mapping[int, float]) -> None:
        """See `Pack.apply`."""
        (rate,) = learning_rates.values()
        self._engine.apply(rate)

    def evaluate(self, seats: Collection[int], blocks: Blocks) -> dict[int, float]:
        """See `Pack.evaluate`."""
        return {seat: self._engine.evaluate(blocks) for seat in seats}
