"""Which of a log's times to use, how they were understood, and what they say of each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sweeper.errors import LogError
from sweeper.logs.cells import column_numbers
from sweeper.logs.log import ColumnUse, LogOptions
from sweeper.logs.names import CUMULATIVE, PER_STEP, RUNNING_MEAN, Meaning
from sweeper.logs.roles import BY_FLAG, BY_NAME, Role
from sweeper.logs.table import Table
from sweeper.logs.times import (
    SECONDS_PER,
    clock_seconds,
    counted_on,
    differences,
    guess_reading,
    guess_unit,
    is_clock,
    step_seconds_of,
)

Floats = NDArray[np.float64]


@dataclass
class Timing:
    """What the times came to.

    Attributes:
        series: `seconds` and `step_seconds` of each row, NaN where unknown.
        columns: How each column of times was understood.
        notes: What was odd.
    """

    series: dict[str, Floats] = field(default_factory=dict)
    columns: dict[str, ColumnUse] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_timing(
    source: str,
    table: Table,
    roles: Mapping[str, tuple[Role, ...]],
    options: LogOptions,
    steps: Floats,
) -> Timing:
    """Read the times of a table.

    Raises:
        LogError: A cell is no number.
    """
    timing = Timing()
    roles = _with_clocks(table, roles, options)
    for role in (*roles.get("step_seconds", ()), *roles.get("seconds", ())):
        _read_column(timing, source, table, role, roles, options, steps)
    if "seconds" in timing.series and "step_seconds" not in timing.series:
        timing.series["step_seconds"] = differences(timing.series["seconds"], steps)
    if "seconds" in timing.series:
        timing.series["seconds"] = counted_on(timing.series["seconds"], steps)
    return timing


def _with_clocks(
    table: Table, roles: Mapping[str, tuple[Role, ...]], options: LogOptions
) -> Mapping[str, tuple[Role, ...]]:
    """The roles, with columns of dates and of seconds since 1970 as clock times."""
    found: dict[str, tuple[Role, ...]] = {}
    for role in ("seconds", "step_seconds"):
        for each in roles.get(role, ()):
            is_open = not each.meaning.unit and role not in options.units and not options.time
            if is_open and is_clock(table.columns[each.name]):
                meaning = Meaning("seconds", each.meaning.rank, "clock", CUMULATIVE)
                each = Role(each.name, meaning, each.basis)
            found[each.meaning.role] = (*found.get(each.meaning.role, ()), each)
    return {**roles, "seconds": (), "step_seconds": (), **found}


def _read_column(
    timing: Timing,
    source: str,
    table: Table,
    role: Role,
    roles: Mapping[str, tuple[Role, ...]],
    options: LogOptions,
    steps: Floats,
) -> None:
    try:
        values = _values(source, table, role, options)
    except LogError:
        if role.basis == BY_FLAG:
            raise
        timing.columns[role.name] = ColumnUse(role.name, "", basis="not all of it are times")
        return
    unit, unit_basis = _unit(table, role, options, values, steps)
    reading, basis = _reading(role, options, values, steps)
    if reading == CUMULATIVE and role.meaning.reading != CUMULATIVE and unit not in SECONDS_PER:
        reading = PER_STEP
    if reading == CUMULATIVE and role.meaning.unit != "clock" and not role.meaning.unit:
        unit, unit_basis = _unit(table, role, options, values, steps, reading)
    target = "seconds" if reading == CUMULATIVE else "step_seconds"
    factor = 1.0 if role.name in table.units or unit == "clock" else SECONDS_PER.get(unit, 1.0)
    per = "s" if role.name in table.units else unit
    series = (
        values * factor
        if reading == CUMULATIVE
        else step_seconds_of(values, per, reading, steps, _amounts(source, table, roles, unit))
    )
    use = ColumnUse(role.name, target, unit, reading, _join(role.basis, unit_basis, basis))
    if not np.isfinite(series).any():
        use = ColumnUse(role.name, "", unit, reading, _useless(unit))
    elif target in timing.series:
        use = ColumnUse(role.name, "", unit, reading, f"another column gives {target}")
    else:
        timing.series[target] = series
    timing.columns[role.name] = use


def _values(source: str, table: Table, role: Role, options: LogOptions) -> Floats:
    cells = table.columns[role.name]
    if role.meaning.unit == "clock" or options.units.get(role.meaning.role) == "clock":
        try:
            return clock_seconds(cells)
        except ValueError as error:
            raise LogError(
                f"{source}: {role.name} holds {error}, neither seconds nor a date (allowed: "
                "numbers, or such as 2026-01-31T12:00:00)"
            ) from error
    numbers = column_numbers(source, table, role.name, cells, commas=False, role=role.meaning.role)
    return np.array(numbers, dtype=np.float64)


def _unit(
    table: Table,
    role: Role,
    options: LogOptions,
    values: Floats,
    steps: Floats,
    reading: str = "",
) -> tuple[str, str]:
    if role.meaning.role in options.units:
        return options.units[role.meaning.role], "unit by flag"
    if role.name in table.units:
        return table.units[role.name], "unit as written"
    if role.meaning.unit:
        return role.meaning.unit, ""
    unit = guess_unit(values, steps, reading or role.meaning.reading)
    return unit, f"{unit} by size"


def _reading(role: Role, options: LogOptions, values: Floats, steps: Floats) -> tuple[str, str]:
    if options.time is not None and not _is_rate(role.meaning):
        return (CUMULATIVE if options.time == "cumulative" else PER_STEP), "reading by flag"
    if role.meaning.reading:
        return role.meaning.reading, ""
    return guess_reading(values, steps)


def _is_rate(meaning: Meaning) -> bool:
    return "/" in meaning.unit or meaning.reading == RUNNING_MEAN


def _amounts(
    source: str, table: Table, roles: Mapping[str, tuple[Role, ...]], unit: str
) -> Floats | None:
    """Tokens (or samples) seen at each row, for rates in them."""
    name = None
    if unit == "tokens/s" and "tokens" in roles:
        name = roles["tokens"][0].name
    if unit == "samples/s":
        name = next((n for n in table.columns if n.strip().lower() == "consumed samples"), None)
    if name is None:
        return None
    cells = column_numbers(source, table, name, table.columns[name], commas=False, role="tokens")
    return np.array(cells, dtype=np.float64)


def _useless(unit: str) -> str:
    if unit == "tokens/s":
        return "how many tokens a step has is unknown"
    if unit == "samples/s":
        return "how many samples a step has is unknown"
    return "no two rows to compare"


def _join(*parts: str) -> str:
    said = [part for part in parts if part]
    return ", ".join(said) or BY_NAME
