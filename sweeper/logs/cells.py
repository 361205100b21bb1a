"""The numbers in a table's cells, with an error that names the place where one is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.errors import LogError
from sweeper.logs.log import LogOptions
from sweeper.logs.placeholders import drop_placeholders
from sweeper.logs.records import COUNTED
from sweeper.logs.roles import Role
from sweeper.logs.table import Table, pick_rows
from sweeper.logs.values import ALLOWED, Cell, finds_decimal_commas, number, plain_numbers

_COUNTS = ("step", "tokens")
_EMPTY = (None, "")
_TIMES = ("seconds", "step_seconds")
COUNTED_ON = "the steps count anew in each epoch: they were counted on"
NATS_PER_BIT = math.log(2)
_MAX_LISTED = 3
_LARGEST = 2**53  # whole numbers above are not exact


@dataclass(frozen=True)
class Numbers:
    """One column's numbers, None where nothing was logged."""

    values: list[float | None]

    def pick(self, rows: NDArray[np.int64]) -> list[float | None]:
        """Some of them, in the order of `rows`."""
        if len(rows) == len(self.values) and bool((rows == np.arange(len(rows))).all()):
            return self.values
        return [self.values[row] for row in rows.tolist()]


def read_steps(
    source: str, table: Table, roles: Mapping[str, tuple[Role, ...]]
) -> tuple[Table, NDArray[np.float64], list[str]]:
    """The step of each row, and the table without the rows that have none.

    Raises:
        LogError: A step is no whole number.
    """
    found = roles.get("step", ())
    if not found:
        return _count_steps(table)
    cells = list(table.columns[found[0].name])
    for other in found[1:]:
        cells = _filled(cells, table.columns[other.name])
    commas = decimal_commas(table, roles)
    values = column_numbers(source, table, found[0].name, cells, commas=commas)
    if COUNTED in table.columns:  # an evaluation before the first step that the log names
        before = (cell == 0 for cell in table.columns[COUNTED])
        values = [0.0 if v is None and b else v for v, b in zip(values, before, strict=True)]
    if None in values:
        table, values, notes = _drop_without_step(table, values)
    else:
        notes = []
    steps = np.array(values, dtype=np.float64)
    whole = np.abs(steps) < _LARGEST
    whole[whole] = steps[whole] == np.floor(steps[whole])
    if not whole.all():
        row = int(np.flatnonzero(~whole)[0])
        raise LogError(
            f"{source}:{table.lines[row]}: {found[0].name} is {values[row]}, not a whole step "
            "(allowed: whole numbers; --column step=NAME picks another column)"
        )
    return table, *_count_on(table, steps, roles.get("epoch", ()), notes)


def _filled(cells: Sequence[Cell], others: Sequence[Cell]) -> list[Cell]:
    """Steps, filled up from another column where they are missing.

    Where the two count different things (optimizer steps and micro-batches, or calls of
    `wandb.log`), the row belongs to the last step before it.
    """
    both = zip(cells, others, strict=True)
    if all(a in _EMPTY or b in _EMPTY or a == b for a, b in both):
        return [b if a in _EMPTY else a for a, b in zip(cells, others, strict=True)]
    filled: list[Cell] = []
    last: Cell = None
    for cell in cells:
        last = last if cell in _EMPTY else cell
        filled.append(last)
    return filled


def _count_on(
    table: Table, steps: NDArray[np.float64], epoch: Sequence[Role], notes: list[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """Steps that count anew in each epoch, counted on: they fall only where the epoch rises.

    An epoch that has one row, the last of its steps, repeats the step of the epoch before.
    """
    gains = np.diff(steps)
    if not epoch or not (gains <= 0).any():
        return steps, notes
    epochs = _last_known(table.columns[epoch[0].name])
    rises = np.diff(epochs)
    falls = np.flatnonzero((gains < 0) | ((gains == 0) & (rises >= 1))) + 1
    if not len(falls) or not (rises[falls - 1] > 0).all():
        return steps, notes
    if not (gains < 0).any() and gains.any():
        return steps, notes
    offsets = np.zeros(len(steps))
    for row in falls:
        offsets[row:] += steps[row - 1]
    return steps + offsets, [*notes, COUNTED_ON]


def _last_known(cells: Sequence[Cell]) -> NDArray[np.float64]:
    """The numbers of a column; the one before where a row has none."""
    values = np.array([_float_or_nan(cell) for cell in cells], dtype=np.float64)
    known = np.where(np.isfinite(values), np.arange(len(values)), 0)
    return np.asarray(values[np.maximum.accumulate(known)])


def _float_or_nan(cell: Cell) -> float:
    try:
        return float(cell) if cell not in (None, "") else math.nan
    except ValueError:
        return math.nan


def _count_steps(table: Table) -> tuple[Table, NDArray[np.float64], list[str]]:
    counted = table.columns.get(COUNTED)
    if counted is not None:
        return table, np.array(counted, dtype=np.float64), []
    note = "no column is a step: rows were counted from 1 (--column step=NAME picks one)"
    return table, np.arange(1.0, len(table) + 1), [note]


def _drop_without_step(
    table: Table, values: Sequence[float | None]
) -> tuple[Table, list[float | None], list[str]]:
    missing = [table.lines[row] for row, value in enumerate(values) if value is None]
    kept = [row for row, value in enumerate(values) if value is not None]
    listed = ", ".join(map(str, missing[:_MAX_LISTED]))
    more = f" and {len(missing) - _MAX_LISTED} more" if len(missing) > _MAX_LISTED else ""
    note = f"rows without a step were left out (line {listed}{more})"
    return pick_rows(table, kept), [values[row] for row in kept], [note]


def read_numbers(
    source: str,
    table: Table,
    roles: Mapping[str, tuple[Role, ...]],
    options: LogOptions,
    into: dict[str, Numbers],
) -> list[str]:
    """Read the chosen column of every role that is no step and no time.

    Returns:
        Notes on what was odd.

    Raises:
        LogError: A cell is no number.
    """
    commas = decimal_commas(table, roles)
    for role, found in roles.items():
        if role == "step" or role in _TIMES:
            continue
        cells = table.columns[found[0].name]
        values = column_numbers(source, table, found[0].name, cells, commas=commas, role=role)
        if options.units.get(role) == "bits":
            values = [None if value is None else value * NATS_PER_BIT for value in values]
        if role == "tokens":
            _check_tokens(source, table, found[0].name, values)
        into[role] = Numbers(values)
    changed, notes = drop_placeholders({role: each.values for role, each in into.items()})
    into.update((role, Numbers(values)) for role, values in changed.items())
    return notes


def _check_tokens(source: str, table: Table, name: str, values: Sequence[float | None]) -> None:
    for row, value in enumerate(values):
        if value is not None and not (value.is_integer() and abs(value) < _LARGEST):
            raise LogError(
                f"{source}:{table.lines[row]}: {name} is {value}, not a whole number of tokens "
                "(allowed: whole numbers; --column tokens=NAME picks another column)"
            )


def decimal_commas(table: Table, roles: Mapping[str, tuple[Role, ...]]) -> bool:
    """Whether this table parts decimals by commas.

    Where all its numbers can be read both ways, its losses decide: 1.234 nats are a loss, 1234
    are none.
    """
    verdicts: list[bool] = []
    for role, found in roles.items():
        if role not in _COUNTS:
            verdict = finds_decimal_commas(table.columns[found[0].name])
            if verdict is not None:
                verdicts.append(verdict)
    if verdicts:
        return all(verdicts)
    losses = (table.columns[roles[r][0].name] for r in ("train_loss", "val_loss") if r in roles)
    return any(isinstance(cell, str) and "," in cell for cells in losses for cell in cells)


def column_numbers(
    source: str,
    table: Table,
    name: str,
    cells: Sequence[Cell],
    *,
    commas: bool,
    role: str = "step",
) -> list[float | None]:
    """The numbers of one column.

    Raises:
        LogError: A cell is no number.
    """
    plain = plain_numbers(cells) if not commas else None
    if plain is not None:
        return plain
    values: list[float | None] = []
    for row, cell in enumerate(cells):
        try:
            values.append(number(cell, comma_is_decimal=commas, is_count=role in _COUNTS))
        except ValueError as error:
            raise LogError(
                f"{source}:{table.lines[row]}: {name} is {cell!r}, not a number (allowed: "
                f"{ALLOWED}; --column {role}=NAME picks another column)"
            ) from error
    return values
