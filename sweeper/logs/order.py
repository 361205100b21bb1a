"""Which rows of a log are one run, in what order: restarts, shuffled rows, second runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FEW_JUMPS = 3
_JUMP_SHARE = 0.1  # of the rows; a log whose steps go back more often is out of order
_SHORT_PIECE = 3  # rows
_STARTING_LEVEL = 0.5  # of the loss's whole fall: a run above it has begun anew


@dataclass(frozen=True)
class Segment:
    """Rows between two places at which the step goes back."""

    start: int
    end: int


@dataclass(frozen=True)
class Order:
    """What was made of the order of rows.

    Attributes:
        runs: Rows of each run, in the order of the file; the rows of a run may repeat steps, and
            later rows count.
        restarts: For each run, rows at which it took up again.
        is_sorted: Whether the rows had to be put in order.
    """

    runs: tuple[NDArray[np.int64], ...]
    restarts: tuple[tuple[int, ...], ...]
    is_sorted: bool = False


def find_order(steps: Floats, losses: Floats, is_logged: NDArray[np.bool_]) -> Order:
    """Tell restarts, second runs and shuffled rows apart.

    A step that goes back is a restart where the rows after it repeat steps from before; it begins
    another run where it goes back to the start and the loss is at its starting level again; and
    where steps go back without repeating any, the rows are merely out of order.

    Args:
        steps: One per row.
        losses: Training (or validation) loss of each row; NaN where there is none.
        is_logged: Which rows have that loss. Others, such as evaluations that were written late,
            go to their steps without more ado.
    """
    jumps = np.flatnonzero(np.diff(steps) < 0) + 1
    everything = np.arange(len(steps))
    if not len(jumps):
        return Order((everything,), ((),))
    if not (np.diff(steps[is_logged]) < 0).any():
        return Order((np.argsort(steps, kind="stable"),), ((),))
    if _is_shuffled(steps, len(jumps)):
        return Order((np.argsort(steps, kind="stable"),), ((),), is_sorted=True)
    edges = [0, *map(int, jumps), len(steps)]
    segments = [Segment(a, b) for a, b in pairwise(edges)]
    return _judge(steps, losses, segments)


def _is_shuffled(steps: Floats, num_jumps: int) -> bool:
    """Whether steps go back too often for restarts, or in short pieces and never to a known one."""
    if num_jumps > max(_FEW_JUMPS, _JUMP_SHARE * len(steps)):
        return True
    in_pieces = len(steps) < _SHORT_PIECE * (num_jumps + 1)
    return in_pieces and len(np.unique(steps)) == len(steps)


def _judge(steps: Floats, losses: Floats, segments: Sequence[Segment]) -> Order:
    runs: list[list[Segment]] = [[segments[0]]]
    restarts: list[list[int]] = [[]]
    shuffled = [False]
    for segment in segments[1:]:
        before = runs[-1]
        if _begins_anew(steps, losses, before, segment):
            runs.append([segment])
            restarts.append([])
            shuffled.append(False)
        elif _repeats(steps, before, segment):
            runs[-1].append(segment)
            restarts[-1].append(segment.start)
        else:
            runs[-1].append(segment)
            shuffled[-1] = True
    rows = [
        _rows(steps, run, set(starts), is_shuffled)
        for run, starts, is_shuffled in zip(runs, restarts, shuffled, strict=True)
    ]
    return Order(tuple(rows), tuple(tuple(r) for r in restarts), is_sorted=any(shuffled))


def _rows(
    steps: Floats, run: Sequence[Segment], restarts: set[int], is_shuffled: bool
) -> NDArray[np.int64]:
    """Rows of one run: what a restart made void is left out."""
    kept = np.arange(run[0].start, run[0].end)
    for segment in run[1:]:
        if segment.start in restarts:
            kept = kept[steps[kept] <= steps[segment.start]]
        kept = np.concatenate([kept, np.arange(segment.start, segment.end)])
    return kept[np.argsort(steps[kept], kind="stable")] if is_shuffled or restarts else kept


def _begins_anew(steps: Floats, losses: Floats, run: Sequence[Segment], segment: Segment) -> bool:
    first = steps[run[0].start]
    spacing = steps[run[0].start + 1] - first if run[0].end - run[0].start > 1 else 0
    if abs(steps[segment.start] - first) > max(spacing, 0):
        return False
    old = np.concatenate([losses[part.start : part.end] for part in run])
    old, new = old[np.isfinite(old)], losses[segment.start : segment.end]
    new = new[np.isfinite(new)]
    if not len(old) or not len(new):
        return bool(steps[segment.start] <= first)
    fall = old[0] - old.min()
    return bool(new[0] >= old[0] - _STARTING_LEVEL * fall)


def _repeats(steps: Floats, run: Sequence[Segment], segment: Segment) -> bool:
    seen = np.concatenate([steps[part.start : part.end] for part in run])
    here = steps[segment.start : segment.end]
    if np.isin(here, seen).any():
        return True
    inside = int(((here >= seen.min()) & (here <= seen.max())).sum())
    passes = bool(here.max() > seen.max()) or len(here) >= len(seen)
    return inside >= _FEW_JUMPS and passes
