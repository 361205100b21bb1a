"""How the batches of a pack are cut into forward passes.

Shapes: C blocks of a cut, S tokens of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweeper.data import IGNORED_TARGET, Blocks
from sweeper.training.engine import Batch


class Cut(NamedTuple):
    """A seat's blocks in one pass.

    Attributes:
        seat: Whose.
        inputs and targets: int64 `[C, S]`, as in `Blocks`.
    """

    seat: int
    blocks: Blocks

    @property
    def num_tokens(self) -> int:
        """Tokens that it adds to a pass."""
        return int(self.blocks.inputs.size)

    @property
    def block_size(self) -> int:
        """S."""
        return int(self.blocks.inputs.shape[1])


class Run(NamedTuple):
    """Neighbouring seats with equally many tokens in a pass: one batched product for all.

    Attributes:
        first_seat: The first of them; the others follow one by one.
        num_seats: How many.
        start: Their first row in the pass.
        num_tokens: Rows of each.
    """

    first_seat: int
    num_seats: int
    start: int
    num_tokens: int

    @property
    def rows(self) -> slice:
        """All their rows."""
        return slice(self.start, self.start + self.num_seats * self.num_tokens)

    @property
    def seats(self) -> slice:
        """Their places on the leading axis."""
        return slice(self.first_seat, self.first_seat + self.num_seats)


@dataclass(frozen=True)
class Pass:
    """What goes through the trunk at once: each seat at most once, sorted by block size.

    Only attention mixes tokens, so that trials with unlike blocks share all other products.
    """

    cuts: tuple[Cut, ...]

    @property
    def num_tokens(self) -> int:
        """Rows of the pass."""
        return sum(cut.num_tokens for cut in self.cuts)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The pass as runs of neighbouring seats."""
        runs: list[Run] = []
        start = 0
        for cut in self.cuts:
            last = runs[-1] if runs else None
            if (
                last is not None
                and cut.seat == last.first_seat + last.num_seats
                and cut.num_tokens == last.num_tokens
            ):
                runs[-1] = last._replace(num_seats=last.num_seats + 1)
            else:
                runs.append(Run(cut.seat, 1, start, cut.num_tokens))
            start += cut.num_tokens
        return tuple(runs)

    @cached_property
    def block_runs(self) -> tuple[tuple[slice, int], ...]:
        """Rows of equally long blocks, with the length."""
        runs = []
        start = 0
        for block_size, cuts in groupby(self.cuts, key=lambda cut: cut.block_size):
            stop = start + sum(cut.num_tokens for cut in cuts)
            runs.append((slice(start, stop), block_size))
            start = stop
        return tuple(runs)


class Counted(NamedTuple):
    """The rows of a pass whose target counts, in the order of its cuts.

    Attributes:
        rows_C: Their numbers.
        targets_C: int64, their targets.
        num_rows_of: How many are whose.
    """

    rows_C: NDArray[np.int64]
    targets_C: NDArray[np.int64]
    num_rows_of: dict[int, int]

    @classmethod
    def of(cls, each: Pass) -> Counted:
        """The counted rows of a pass."""
        targets = [cut.blocks.targets.ravel() for cut in each.cuts]
        targets_N = np.concatenate(targets)
        rows_C = np.flatnonzero(targets_N != IGNORED_TARGET)
        counts = {cut.seat: cut.blocks.num_targets for cut in each.cuts}
        return cls(rows_C, targets_N[rows_C], counts)

    @property
    def num_rows(self) -> int:
        """C."""
        return len(self.rows_C)

    def weights_C(self, num_targets: Mapping[int, int]) -> NDArray[np.float32]:
        """What each row counts in its seat's mean over `num_targets`."""
        weights = [1 / max(num_targets[seat], 1) for seat in self.num_rows_of]
        return np.repeat(np.array(weights, dtype=np.float32), list(self.num_rows_of.values()))


def plan_passes(
    batches: Mapping[int, Batch], *, whole: Mapping[int, bool], most_tokens: int
) -> Iterator[Pass]:
    """Cut batches into passes.

    How a seat's batch is cut depends on nothing but itself, and so does its rounding.

    Args:
        batches: By seat.
        whole: Whether a seat's micro-batches must go through as they are, for the sake of what
            is drawn for them; else a batch is cut anyhow, as the gradient is the same.
        most_tokens: Rows of a pass, unless a single micro-batch has more.
    """
    cuts = [
        [Cut(seat, part) for part in _parts(batch, whole[seat], most_tokens)]
        for seat, batch in batches.items()
    ]
    for together in zip_longest(*cuts):
        waiting = [cut for cut in together if cut is not None]
        waiting.sort(key=lambda cut: (cut.block_size, cut.seat))
        yield from _filled(waiting, most_tokens)


def _parts(batch: Batch, whole: bool, most_tokens: int) -> list[Blocks]:
    blocks, micro_batch = batch
    num_blocks, block_size = blocks.inputs.shape
    size = micro_batch if whole else max(most_tokens // block_size, 1)
    return [
        Blocks(blocks.inputs[start : start + size], blocks.targets[start : start + size])
        for start in range(0, num_blocks, size)
    ]


def _filled(cuts: list[Cut], most_tokens: int) -> Iterator[Pass]:
    """Passes that hold as many of the cuts as fit, in their order."""
    held: list[Cut] = []
    for cut in cuts:
        if held and sum(c.num_tokens for c in held) + cut.num_tokens > most_tokens:
            yield Pass(tuple(held))
            held = []
        held.append(cut)
    if held:
        yield Pass(tuple(held))
