"""A curve: what one run said about itself, point by point, over steps and tokens."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweeper.errors import CheckpointError
from sweeper.files import write_durably


@dataclass(frozen=True, slots=True)
class Point:
    """The state of a run after one optimizer step (step 0: before the first).

    Attributes:
        step: Optimizer steps done.
        tokens: Tokens seen, the axis on which runs of unlike batch sizes compare.
        train_loss: Mean loss over the step's tokens, in nats per predicted token.
        val_loss: Mean loss over the validation set, in nats; None between rungs.
        learning_rate: The rate that the step used.
        grad_norm: Global gradient norm before clipping.
        seconds: Training seconds since the run began, evaluation left out.
        step_seconds: Mean seconds of one step since the point before.
        loss_scale: Factor of a loss that is trained in half precision.
        epoch: Passes over the corpus, fractions included.
    """

    step: int
    tokens: int
    train_loss: float | None = None
    val_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    seconds: float | None = None
    step_seconds: float | None = None
    loss_scale: float | None = None
    epoch: float | None = None


# What a point may hold beside its place: the fields that are None where nothing was recorded.
QUANTITIES = tuple(field.name for field in fields(Point) if field.default is None)
_TAIL_BYTES = 1024  # some lines of a curve; one has at most about 200
_NAMES = {field.name for field in fields(Point)}
_PLACE = {"step", "tokens"}


@dataclass(frozen=True)
class Curve:
    """Points in the order of their steps."""

    points: tuple[Point, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def series(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The tokens and values of one quantity, where it was recorded.

        Args:
            name: A float field of `Point`, such as `val_loss`.

        Returns:
            Two arrays of equal length; values may be NaN or infinite.
        """
        pairs = [(p.tokens, getattr(p, name)) for p in self.points if getattr(p, name) is not None]
        tokens = np.array([pair[0] for pair in pairs], dtype=np.int64)
        return tokens, np.array([pair[1] for pair in pairs], dtype=np.float64)

    def over_steps(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """As `series`, with the steps in place of the tokens; computed once for each name."""
        if name not in self._over_steps:
            pairs = [(p.step, v) for p in self.points if (v := getattr(p, name)) is not None]
            steps = np.array([step for step, _ in pairs], dtype=np.int64)
            self._over_steps[name] = steps, np.array([v for _, v in pairs], dtype=np.float64)
        return self._over_steps[name]

    @cached_property
    def _over_steps(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        return {}

    def evaluations(self) -> tuple[Point, ...]:
        """The points at which the validation set was evaluated."""
        return tuple(point for point in self.points if point.val_loss is not None)

    @property
    def last_val_loss(self) -> float | None:
        """The newest finite validation loss, in nats; None where there is none."""
        losses = (p.val_loss for p in reversed(self.points) if p.val_loss is not None)
        return next(filter(math.isfinite, losses), None)


def point_to_json(point: Point) -> str:
    """One line of `curve.jsonl`: unset fields left out, NaN and infinities as strings.

    JSON has no NaN; strings keep the line readable by every parser.
    """
    record: dict[str, object] = {}
    for name, value in asdict(point).items():
        if value is None:
            continue
        finite = not isinstance(value, float) or math.isfinite(value)
        record[name] = value if finite else str(value)
    return json.dumps(record)


def point_from_json(line: str) -> Point:
    """The inverse of `point_to_json`, exact to the last bit.

    Raises:
        ValueError: The line is not such a record.
    """
    try:
        record = json.loads(line)
    except RecursionError as error:
        raise ValueError(f"nested too deep for a point: {line[:80]!r}") from error
    if not isinstance(record, dict) or not record.keys() <= _NAMES or not record.keys() >= _PLACE:
        raise ValueError(f"not a point of a curve: {line[:80]!r}")
    for name, value in record.items():
        if isinstance(value, str) and name not in _PLACE:
            record[name] = float(value)
    return Point(**record)


def read_curve(path: Path) -> Curve:
    """Read a `curve.jsonl`; a half-written last line (a killed writer) is left out.

    Raises:
        CheckpointError: A line before the last is not a point.
    """
    # A flipped byte may be no UTF-8: then its line is the damaged one.
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    points: list[Point] = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            points.append(point_from_json(line))
        except (ValueError, TypeError) as error:
            if number == len(lines):  # no newline after it: cut off while being written
                break
            raise CheckpointError(f"{path}:{number}: damaged curve line ({error})") from error
    return Curve(tuple(points))


def write_curve(path: Path, points: Iterable[Point]) -> None:
    """Write a whole `curve.jsonl`, replacing what was there at once."""
    write_durably(path, "".join(point_to_json(point) + "\n" for point in points).encode())


def last_point(path: Path) -> Point | None:
    """The newest whole line of a curve that somebody may be writing; None before the first."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL_BYTES, 0))
            lines = file.read().split(b"\n")
    except OSError:
        return None
    for line in reversed(lines[:-1]):  # the last is empty, or still being written
        try:
            return point_from_json(line.decode())
        except ValueError:  # the first may be cut in half
            continue
    return None
