"""From a table of cells to a run's curve, with everything that was decided on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, repeat

import numpy as np
from numpy.typing import NDArray

from sweeper.curves import Curve, Point
from sweeper.errors import LogError
from sweeper.logs.cells import COUNTED_ON, Numbers, read_numbers, read_steps
from sweeper.logs.log import ColumnUse, Log, LogOptions
from sweeper.logs.names import meaning_of, normal_name
from sweeper.logs.order import Order, find_order
from sweeper.logs.records import COUNTED
from sweeper.logs.roles import Role, assign_roles, check_options
from sweeper.logs.runs import split_runs
from sweeper.logs.table import Table
from sweeper.logs.timing import Timing, read_timing
from sweeper.logs.values import Cell

LOSSES = ("train_loss", "val_loss")
_PLAIN = (*LOSSES, "learning_rate", "grad_norm", "loss_scale", "epoch")
_TOTALS = ("total_steps", "max_steps")
_MAX_LISTED = 3


@dataclass
class _Draft:
    """A log on its way: rows of numbers by role, and notes."""

    source: str
    table: Table
    roles: Mapping[str, tuple[Role, ...]]
    steps: NDArray[np.float64]
    numbers: dict[str, Numbers]
    notes: list[str] = field(default_factory=list)


def build_log(source: str, table: Table, options: LogOptions) -> Log:
    """Read a table as the log of one run.

    Args:
        source: How messages call the log.
        table: Its rows.
        options: What the user knows better.

    Raises:
        LogError: It has no loss, a cell is no number, or a flag does not fit.
    """
    check_options(options)
    split = split_runs(source, table, options)
    table = split.table
    counts = {
        name: _num_filled(name, cells) for name, cells in table.columns.items() if name != COUNTED
    }
    roles = assign_roles(source, counts, options)
    if not any(role in roles for role in LOSSES):
        raise LogError(no_loss_message(source, table, list(counts)))
    table, steps, notes = read_steps(source, table, roles)
    draft = _Draft(source, table, roles, steps, {}, [*table.notes, *notes])
    draft.notes += read_numbers(source, table, roles, options, draft.numbers)
    log = _finish(draft, options if not split.runs else replace(options, run=None), counts)
    return replace(log, runs=split.runs, run=split.run) if split.runs else log


def no_loss_message(source: str, table: Table, names: Sequence[str]) -> str:
    """What to say of a table without a loss."""
    if not names:
        return f"{source}: {table.format} without columns (allowed: a step and a loss in every row)"
    if not len(table):
        return f"{source}: {table.format} without rows; its columns are {', '.join(names)}"
    return (
        f"{source}: no column looks like a loss; it has {', '.join(names)}. Name it with "
        f"--column train_loss=NAME or --column val_loss=NAME"
    )


def _finish(draft: _Draft, options: LogOptions, counts: Mapping[str, int]) -> Log:
    order = find_order(draft.steps, *_losses(draft))
    chosen = _choose_run(draft, order, options)
    rows, restart_rows = order.runs[chosen], order.restarts[chosen]
    _note_order(draft, order, chosen)
    restart_steps = tuple(int(draft.steps[row]) for row in restart_rows)
    timing = read_timing(draft.source, draft.table, draft.roles, options, draft.steps)
    draft.notes.extend(timing.notes)
    curve = _curve(draft, timing, rows, set(restart_steps))
    names = tuple(f"{place}" for place in range(1, len(order.runs) + 1))
    return Log(
        source=draft.source,
        format=draft.table.format,
        curve=curve,
        columns=_column_uses(draft, timing, options, counts),
        notes=tuple(draft.notes),
        restart_steps=restart_steps,
        runs=names if len(names) > 1 else (),
        run=names[chosen] if len(names) > 1 else "",
        settings=_settings(draft, order),
    )


def _settings(draft: _Draft, order: Order) -> Mapping[str, object]:
    """What the log prints, and the number of steps to which it counts.

    That number is an epoch's where steps begin anew.
    """
    total = draft.table.total_steps
    column = next((name for name in draft.table.columns if normal_name(name) in _TOTALS), None)
    if column is not None:
        cell = str(draft.table.columns[column][-1])
        total = int(cell) if cell.isdecimal() else 0
    begins_anew = len(order.runs) > 1 or order.restarts[0] or COUNTED_ON in draft.notes
    if not total or begins_anew or total < draft.steps.max():
        return draft.table.settings
    return {"total_steps": total, **draft.table.settings}


def _losses(draft: _Draft) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The loss by which rows are told apart, and which rows have it."""
    for role in LOSSES:
        if role in draft.numbers:
            values = draft.numbers[role].values
            is_logged = np.array([value is not None for value in values], dtype=np.bool_)
            return np.array(values, dtype=np.float64), is_logged
    return np.full(len(draft.steps), np.nan), np.zeros(len(draft.steps), dtype=np.bool_)


def _choose_run(draft: _Draft, order: Order, options: LogOptions) -> int:
    num = len(order.runs)
    if options.run is None:
        return num - 1
    if options.run.isdigit() and 1 <= int(options.run) <= num:
        return int(options.run) - 1
    allowed = f"1 to {num}, in the order of the file" if num > 1 else "1: there is only one"
    raise LogError(
        f"{draft.source}: --run {options.run}: there is no such run (allowed: {allowed})"
    )


def _note_order(draft: _Draft, order: Order, chosen: int) -> None:
    lines = draft.table.lines
    if len(order.runs) > 1:
        starts = ", ".join(str(lines[int(rows.min())]) for rows in order.runs)
        draft.notes.append(
            f"{len(order.runs)} runs in one file (they begin at lines {starts}): number "
            f"{chosen + 1} was read; --run 1 to --run {len(order.runs)} picks another"
        )
    for row in order.restarts[chosen]:
        draft.notes.append(
            f"line {lines[row]}: the step goes back from {draft.steps[row - 1]:.0f} to "
            f"{draft.steps[row]:.0f}: a resumed run; its rows replace the earlier ones from there"
        )
    if order.is_sorted:
        back = int(np.flatnonzero(np.diff(draft.steps) < 0)[0]) + 1
        draft.notes.append(
            f"rows were out of order (first at line {lines[back]}) and were sorted by step"
        )


def _curve(
    draft: _Draft, timing: Timing, rows: NDArray[np.int64], restart_steps: set[int]
) -> Curve:
    rows = _rows_that_say_something(draft, timing, rows)
    steps = draft.steps[rows]
    series = {name: numbers.pick(rows) for name, numbers in draft.numbers.items()}
    series |= {name: _optional(values[rows]) for name, values in timing.series.items()}
    if not (np.diff(steps) > 0).all():
        steps, series = _merge(draft, rows, steps, series, restart_steps)
    columns = [series.get(name, repeat(None)) for name in (*_PLAIN, "seconds", "step_seconds")]
    tokens = series.get("tokens") or repeat(0)
    return Curve(
        tuple(
            Point(step, int(seen or 0), train, val, rate, norm, time, each, scale, epoch)
            for step, seen, train, val, rate, norm, scale, epoch, time, each in zip(
                steps.astype(np.int64).tolist(), tokens, *columns, strict=False
            )
        )
    )


def _rows_that_say_something(
    draft: _Draft, timing: Timing, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rows with at least one number; sparse tables have rows for columns that mean nothing here."""
    values = [numbers.values for numbers in draft.numbers.values()]
    if any(None not in column for column in values):
        return rows
    says = np.array([any(cell is not None for cell in row) for row in zip(*values, strict=True)])
    for series in timing.series.values():
        says |= np.isfinite(series)
    return np.array([row for row in rows.tolist() if says[row]], dtype=np.int64)


def _optional(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _merge(
    draft: _Draft,
    rows: NDArray[np.int64],
    steps: NDArray[np.float64],
    series: Mapping[str, list[float | None]],
    restart_steps: set[int],
) -> tuple[NDArray[np.float64], dict[str, list[float | None]]]:
    """One row for each step: what either row says, and the later where both do."""
    group = np.concatenate([[0], np.cumsum(np.diff(steps) > 0)])
    unique = steps[np.concatenate([[True], np.diff(steps) > 0])]
    merged: dict[str, list[float | None]] = {}
    for name, values in series.items():
        kept: list[float | None] = [None] * len(unique)
        clashes: list[int] = []
        for place, value in enumerate(values):
            if value is None:
                continue
            at = int(group[place])
            old = kept[at]
            if old is not None and old != value and (old == old or value == value):
                clashes.append(place)
            kept[at] = value
        merged[name] = kept
        if name in _PLAIN:
            _note_clashes(draft, name, rows, steps, clashes, restart_steps)
    return unique, merged


def _note_clashes(
    draft: _Draft,
    role: str,
    rows: NDArray[np.int64],
    steps: NDArray[np.float64],
    places: Sequence[int],
    restart_steps: set[int],
) -> None:
    places = [place for place in places if int(steps[place]) not in restart_steps]
    if not places:
        return
    listed = ", ".join(str(draft.table.lines[rows[place]]) for place in places[:_MAX_LISTED])
    more = f" and {len(places) - _MAX_LISTED} more" if len(places) > _MAX_LISTED else ""
    draft.notes.append(
        f"steps that stand there twice with another {role.replace('_', ' ')} (line {listed}{more}):"
        " the later row counts"
    )


def _column_uses(
    draft: _Draft, timing: Timing, options: LogOptions, counts: Mapping[str, int]
) -> tuple[ColumnUse, ...]:
    used: dict[str, ColumnUse] = dict(timing.columns)
    for role, found in draft.roles.items():
        if role in ("seconds", "step_seconds"):
            continue
        several = found if role == "step" else found[:1]
        for each in several:
            unit = options.units.get(role, each.meaning.unit)
            used[each.name] = ColumnUse(each.name, role, unit, "", each.basis)
        for other in found[len(several) :]:
            used[other.name] = ColumnUse(
                other.name, "", "", "", f"{found[0].name} is used as {role}"
            )
    return tuple(
        used.get(name) or ColumnUse(name, "", basis=_unused(counts[name])) for name in counts
    )


def _unused(count: int) -> str:
    return "not a name that is known" if count else "empty"


def _num_filled(name: str, cells: Sequence[Cell]) -> int:
    """How many values a column has; of validation losses, how often there was a new one."""
    meaning = meaning_of(name)
    if meaning is not None and meaning.role == "val_loss":
        filled = [cell for cell in cells if cell not in ("", None)]
        return sum(1 for _ in groupby(filled))
    return len(cells) - cells.count("") - cells.count(None)
