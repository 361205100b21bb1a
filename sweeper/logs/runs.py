"""Logs of several runs: told apart by a column, by the names of columns, or by long rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sweeper.errors import LogError
from sweeper.logs.log import LogOptions
from sweeper.logs.long_table import name_single_metric, widen
from sweeper.logs.names import normal_name
from sweeper.logs.table import Table, pick_rows
from sweeper.logs.values import Cell

_RUN_COLUMNS = ("run", "run_id", "run_name", "run_uuid", "experiment", "experiment_name", "exp")
# Weights & Biases heads its columns "name of the run - metric".
_PANEL = re.compile(r"(?P<run>.+?) - (?P<metric>\S+?)(?P<bound>__MIN|__MAX)?")
_MAX_LISTED = 8


@dataclass(frozen=True)
class Split:
    """One run out of a table."""

    table: Table
    runs: tuple[str, ...] = ()
    run: str = ""


def metric_name(column: str) -> str:
    """The metric in a column's name, without the run that stands before it."""
    match = _PANEL.fullmatch(column)
    return match["metric"] if match and not match["bound"] else column


def split_runs(source: str, table: Table, options: LogOptions) -> Split:
    """Pick one run where a table has several; the last, unless the user says which.

    Raises:
        LogError: There is no run of that name.
    """
    table, runs_of_rows = _by_rows(table)
    if runs_of_rows:
        return _pick_by_rows(source, table, runs_of_rows, options)
    table = name_single_metric(source, table, options.columns)
    return _pick_by_panels(source, table, options)


def _by_rows(table: Table) -> tuple[Table, list[str]]:
    """The table in wide form, and the run of each row; none where only one is named."""
    by_name = {normal_name(name): name for name in table.columns}
    column = next(
        (by_name[n] for n in _RUN_COLUMNS if n in by_name and _num_kinds(table, by_name[n]) > 1),
        None,
    )
    runs = [str(cell) for cell in table.columns[column]] if column else []
    return widen(table, runs)


def _num_kinds(table: Table, name: str) -> int:
    return len({cell for cell in table.columns[name] if cell not in ("", None)})


def _pick_by_rows(
    source: str, table: Table, runs_of_rows: Sequence[str], options: LogOptions
) -> Split:
    runs = tuple(dict.fromkeys(runs_of_rows))
    run = choose_run(source, runs, options)
    picked = pick_rows(table, [row for row, name in enumerate(runs_of_rows) if name == run])
    return Split(_noted(picked, runs, run), runs, run)


def _pick_by_panels(source: str, table: Table, options: LogOptions) -> Split:
    matches = {name: match for name in table.columns if (match := _PANEL.fullmatch(name))}
    if not matches:
        return Split(table)
    runs = tuple(dict.fromkeys(match["run"] for match in matches.values()))
    run = choose_run(source, runs, options) if len(runs) > 1 else runs[0]
    columns: dict[str, Sequence[Cell]] = {}
    for name, cells in table.columns.items():
        match = matches.get(name)
        if match is None:
            columns[name] = cells
        elif match["run"] == run and not match["bound"]:
            columns[match["metric"]] = cells
    picked = replace(table, columns=columns)
    if len(runs) == 1:
        return Split(picked)
    return Split(_noted(picked, runs, run), runs, run)


def choose_run(source: str, runs: Sequence[str], options: LogOptions) -> str:
    """The run that the user names, or counts from 1; the last where nothing is said.

    Raises:
        LogError: There is no such run.
    """
    if options.run is None:
        return runs[-1]
    if options.run in runs:
        return options.run
    if options.run.isdigit() and 1 <= int(options.run) <= len(runs):
        return runs[int(options.run) - 1]
    raise LogError(
        f"{source}: --run {options.run}: there is no such run (allowed: {listed_runs(runs)}, or "
        f"1 to {len(runs)})"
    )


def listed_runs(runs: Sequence[str]) -> str:
    """Names of runs, not too many."""
    more = f" and {len(runs) - _MAX_LISTED} more" if len(runs) > _MAX_LISTED else ""
    return ", ".join(runs[:_MAX_LISTED]) + more


def _noted(table: Table, runs: Sequence[str], run: str) -> Table:
    others = [name for name in runs if name != run]
    note = (
        f"{len(runs)} runs in one file: {run} was read, {listed_runs(others)} left out; "
        "--run NAME picks another"
    )
    return replace(table, notes=(*table.notes, note))
