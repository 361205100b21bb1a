"""A baseline's recorded log: a CSV with a step, losses, and perhaps a rate and a speed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from sweeper.curves.curve import Curve, Point
from sweeper.errors import DataError

_COLUMNS = {
    "step": ("step", "steps", "iter", "iteration", "global_step"),
    "tokens": ("tokens",),
    "train_loss": ("train_loss", "train", "loss", "train/loss"),
    "val_loss": ("val_loss", "val", "eval_loss", "eval/loss", "validation_loss"),
    "learning_rate": ("learning_rate", "lr"),
    "grad_norm": ("grad_norm",),
}


def read_recorded_log(path: Path) -> Curve:
    """Read the log of a run that somebody else recorded.

    Empty cells are values that were not recorded. Without a `tokens` column the
    points have 0 tokens: such a curve can be drawn over steps only.

    Raises:
        DataError: It is no such CSV; the message names the line and the columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name}: cannot be read as CSV ({error})") from error
    names = _find_columns(path, (reader.fieldnames or ()) if rows else ())
    points = [_point(path, line, row, names) for line, row in rows]
    return Curve(tuple(sorted(points, key=lambda point: point.step)))


def _find_columns(path: Path, header: Sequence[str]) -> dict[str, str]:
    there = [name for name in header if name]
    known = {name.strip().lower(): name for name in there}
    found = {
        field: known[alias]
        for field, aliases in _COLUMNS.items()
        for alias in reversed(aliases)
        if alias in known
    }
    if "step" not in found or not {"train_loss", "val_loss"} & found.keys():
        raise DataError(
            f"{path.name}: needs a column step and one of train_loss, val_loss; it has "
            f"{', '.join(there) or 'no rows'}"
        )
    return found


def _point(path: Path, line: int, row: dict[str, str], names: dict[str, str]) -> Point:
    def number(field: str) -> float | None:
        text = (row.get(names[field]) or "").strip() if field in names else ""
        if not text:
            return None
        try:
            return float(text)
        except ValueError as error:
            raise DataError(
                f"{path.name}:{line}: {names[field]} is {text!r}, not a number"
            ) from error

    step, tokens = number("step"), number("tokens") or 0.0
    if step is None or not step.is_integer():
        raise DataError(f"{path.name}:{line}: the step is missing or not whole")
    if not tokens.is_integer():
        raise DataError(f"{path.name}:{line}: {names['tokens']} is {tokens}, not a whole number")
    return Point(
        step=int(step),
        tokens=int(tokens),
        train_loss=number("train_loss"),
        val_loss=number("val_loss"),
        learning_rate=number("learning_rate"),
        grad_norm=number("grad_norm"),
    )
