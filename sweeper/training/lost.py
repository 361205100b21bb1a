"""Work that an interruption has cost: trained, thrown away, and trained again.

A run that goes on from a checkpoint cuts its curve back to it. What is cut was paid for, so it is
written down first, in `lost.jsonl` beside the curve; with it, what a trial has cost is

    the last point of `curve.jsonl`  +  all lines of `lost.jsonl`

over all its attempts and workers, to the token. Only what never reached the curve is not known:
the step in hand when a process dies, and after a power cut what the system had not written, which
is no more than a minute or one rung. A worker that was taken for dead and trains on until it
notices, some seconds later, is not counted for these.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sweeper.curves import Point
from sweeper.errors import CheckpointError
from sweeper.files import write_durably

LOST_FILE = "lost.jsonl"
_START = Point(step=0, tokens=0)


@dataclass(frozen=True)
class Lost:
    """What was trained and thrown away.

    Attributes:
        tokens: Trained on.
        seconds: Of training.
    """

    tokens: int = 0
    seconds: float = 0.0


def keep_lost(folder: Path, points: Sequence[Point], num_kept: int) -> None:
    """Write down what a run is about to cut from its curve.

    To be called before the curve is cut. Should the run die between the two, it comes here again
    with the same points, and they are not counted twice.

    Args:
        folder: The run's.
        points: Its curve, as it was found.
        num_kept: Points from which it goes on.

    Raises:
        CheckpointError: What was written before is damaged.
        OSError: The folder cannot be written.
    """
    if num_kept >= len(points):
        return
    last, kept = points[-1], points[num_kept - 1] if num_kept else _START
    entry = _Entry(
        after_step=kept.step,
        to_step=last.step,
        tokens=last.tokens - kept.tokens,
        seconds=(last.seconds or 0.0) - (kept.seconds or 0.0),
        until_s=last.seconds,
    )
    entries = _read(folder)
    if entry.tokens and entry not in entries:
        lines = [json.dumps(asdict(one)) + "\n" for one in (*entries, entry)]
        write_durably(folder / LOST_FILE, "".join(lines).encode())


def add_lost(folder: Path, lost: Lost) -> None:
    """Write down what is known to have been lost elsewhere, where no point of it is here.

    Raises:
        CheckpointError: What was written before is damaged.
        OSError: The folder cannot be written.
    """
    entries = _read(folder)
    entry = _Entry(after_step=0, to_step=0, tokens=lost.tokens, seconds=lost.seconds, until_s=None)
    lines = [json.dumps(asdict(one)) + "\n" for one in (*entries, entry)]
    write_durably(folder / LOST_FILE, "".join(lines).encode())


def read_lost(folder: Path) -> Lost:
    """What all attempts at a run have lost so far; nothing where none was interrupted.

    Raises:
        CheckpointError: The file is damaged.
    """
    entries = _read(folder)
    return Lost(
        sum(entry.tokens for entry in entries), math.fsum(entry.seconds for entry in entries)
    )


@dataclass(frozen=True)
class _Entry:
    """A stretch that was cut; `until_s` is the run's own clock, on which no two attempts agree."""

    after_step: int
    to_step: int
    tokens: int
    seconds: float
    until_s: float | None


def _read(folder: Path) -> list[_Entry]:
    path = folder / LOST_FILE
    if not path.is_file():
        return []
    try:
        return [_Entry(**json.loads(line)) for line in path.read_bytes().splitlines()]
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: damaged ({error}); remove it, and what it counts is forgotten"
        ) from error
