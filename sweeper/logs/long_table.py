"""Long tables, as trackers export them: a row for each metric and step, or one metric alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from sweeper.logs.names import meaning_of, normal_name
from sweeper.logs.records import LOSSES, has_role
from sweeper.logs.table import Table, columns_of
from sweeper.logs.values import Cell

# MLflow, Comet, and hand-written ones.
_KEYS = ("key", "metric", "metric_name", "tag")
_VALUES = ("value", "metric_value")
_VALIDATION_WORDS = {"val", "valid", "validation", "eval", "evaluation", "test", "dev"}


def is_long_name(name: str) -> bool:
    """Whether a column's name is one of a long table's."""
    return normal_name(name) in (*_KEYS, *_VALUES)


def widen(table: Table, runs: list[str]) -> tuple[Table, list[str]]:
    """A row for each step, of a table with a row for each metric and step; others as they are.

    Args:
        table: Any table.
        runs: The run of each row, where there are several.

    Returns:
        The table, and the run of each of its rows.
    """
    by_name = {normal_name(name): name for name in table.columns}
    key = next((by_name[name] for name in _KEYS if name in by_name), None)
    value = next((by_name[name] for name in _VALUES if name in by_name), None)
    if key is None or value is None or "step" not in by_name:
        return table, runs
    times = table.columns.get(by_name.get("timestamp", ""), [None] * len(table))
    columns = (table.columns[name] for name in (key, value, by_name["step"]))
    rows: dict[tuple[str, Cell], dict[str, Cell]] = {}
    lines: dict[tuple[str, Cell], int] = {}
    for place, (metric, cell, step, time) in enumerate(zip(*columns, times, strict=True)):
        at = (runs[place] if runs else "", step)
        record = rows.setdefault(at, {"step": step})
        record[str(metric)] = cell
        if time not in (None, ""):
            record["timestamp"] = time
        lines.setdefault(at, table.lines[place])
    order = _in_blocks(list(rows))
    wide = columns_of([rows[at] for at in order])
    table = replace(table, lines=[lines[at] for at in order], columns=wide)
    return table, [at[0] for at in order] if runs else []


def _in_blocks(keys: Sequence[tuple[str, Cell]]) -> list[tuple[str, Cell]]:
    """Rows by step within each run: long exports list one metric after the other."""
    first = {run: place for place, (run, _) in reversed(list(enumerate(keys)))}
    return sorted(keys, key=lambda at: (first[at[0]], _as_number(at[1])))


def _as_number(cell: Cell) -> float:
    try:
        return float(cell or 0)
    except ValueError:
        return 0.0


def name_single_metric(source: str, table: Table, chosen: Mapping[str, str]) -> Table:
    """A table of one metric, as TensorBoard's `Wall time,Step,Value`, with that metric's name.

    Args:
        source: The file's name, which may tell: TensorBoard writes `run-NAME-tag-METRIC.csv`.
        table: Any table; it stays as it is if its columns have names of their own.
        chosen: What the user says of columns.
    """
    value = next((name for name in table.columns if normal_name(name) in _VALUES), None)
    names = list(table.columns)
    if value is None or has_role(names, LOSSES) or not has_role(names, {"step"}):
        return table
    if value.lower() in {name.lower() for name in chosen.values()}:
        return table
    metric, why = _metric_of(source)
    columns = {metric if name == value else name: cells for name, cells in table.columns.items()}
    note = f"{value} was read as {metric} {why} (--column val_loss={value} says otherwise)"
    return replace(table, columns=columns, notes=(*table.notes, note))


def _metric_of(source: str) -> tuple[str, str]:
    stem = PurePath(source).stem.removesuffix(".csv").removesuffix(".json")
    tag = stem.rpartition("tag-")[2]
    if meaning_of(tag) is not None:
        return tag, "by the file's name"
    words = set(normal_name(tag).split("_"))
    if words & _VALIDATION_WORDS and "loss" in words:
        return "val_loss", "by the file's name"
    return "train_loss", "for want of a name"
