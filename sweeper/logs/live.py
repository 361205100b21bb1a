"""Reads a log while it is being written."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from sweeper.curves import Point
from sweeper.logs.cells import NATS_PER_BIT
from sweeper.logs.log import GUESS_ALL, LogOptions
from sweeper.logs.names import CUMULATIVE, PER_STEP, RUNNING_MEAN
from sweeper.logs.records import COUNTED
from sweeper.logs.roles import Role, assign_roles, check_options
from sweeper.logs.text_table import line_reader
from sweeper.logs.times import SECONDS_PER, guess_unit
from sweeper.logs.values import Cell, number

_FLOATS = ("train_loss", "val_loss", "learning_rate", "grad_norm", "loss_scale", "epoch")


class LiveReader:
    """Turns what a run prints into points, as it comes.

    The same step may come twice with different fields. Chatter is passed over and never raises.
    Of the formats only `jsonl` matters here: then every line that is no object is chatter.
    """

    def __init__(self, options: LogOptions = GUESS_ALL) -> None:
        """Raises LogError where an option is wrong."""
        check_options(options)
        self._options = options
        self._lines = line_reader(options)
        self._only_json = options.format == "jsonl"
        self._rest = ""
        self._shapes: dict[tuple[str, ...], Mapping[str, tuple[Role, ...]]] = {}
        self._ranks: dict[str, int] = {}
        self._clock: tuple[int, float] | None = None
        self._last: tuple[int, float | None] | None = None
        self._offset = 0
        self._moves = False

    @property
    def settings(self) -> Mapping[str, object]:
        """Hyperparameters that were printed so far."""
        return self._lines.settings

    def feed(self, text: str) -> list[Point]:
        """The points of the lines that are whole now."""
        whole = (self._rest + text).replace("\r\n", "\n")
        if whole.endswith("\r"):  # perhaps half of a line's end
            whole, held = whole[:-1], "\r"
        else:
            held = ""
        lines = whole.replace("\r", "\n").split("\n")
        self._rest = lines.pop() + held
        return [point for line in lines if (point := self._read(line))]

    def close(self) -> list[Point]:
        """The points of a last line that no newline ends."""
        rest, self._rest = self._rest, ""
        return [point for line in rest.split("\r") if (point := self._read(line))]

    def _read(self, line: str) -> Point | None:
        if self._only_json and not line.lstrip().startswith("{"):
            return None
        record = self._lines.read(line)
        return self._point(record) if record is not None else None

    def _point(self, record: Mapping[str, Cell]) -> Point | None:
        roles = self._roles(tuple(record))
        values = {role: self._number(record, found[0]) for role, found in roles.items()}
        found = values.get("step")
        if found is None:
            found = _float(record.get(COUNTED))
        if found is None or found != found or abs(found) >= 2**53:
            return None
        step = self._count_on(int(found), values.get("epoch"))
        floats = {name: values[name] for name in _FLOATS if values.get(name) is not None}
        times = self._times(step, record, roles)
        if not floats and not times:
            return None
        return Point(step, _whole(values.get("tokens")), **floats, **times)

    def _count_on(self, step: int, epoch: float | None) -> int:
        """Steps that count anew in each epoch, counted on."""
        before, self._last = self._last, (step, epoch)
        if before is None:
            return step
        self._moves = self._moves or step > before[0]
        if step < before[0] and _rises(before[1], epoch, 0):
            self._offset += before[0]
        elif step == before[0] and not self._moves and _rises(before[1], epoch, 1):
            self._offset += step
        return step + self._offset

    def _roles(self, names: tuple[str, ...]) -> Mapping[str, tuple[Role, ...]]:
        if names not in self._shapes:
            there = {name.lower() for name in names}
            columns = self._options.columns.items()
            asked = {role: name for role, name in columns if name.lower() in there}
            counts = {name: 1 for name in names if name != COUNTED}
            roles = assign_roles("", counts, LogOptions(columns=asked))
            absent = self._options.columns.keys() - asked.keys()  # no other name stands in
            self._shapes[names] = {r: found for r, found in roles.items() if r not in absent}
        return {
            role: found
            for role, found in self._shapes[names].items()
            if role not in _FLOATS or self._is_plainest(found[0])
        }

    def _is_plainest(self, role: Role) -> bool:
        """Whether no plainer name of this role was met: a mean over many steps gives way."""
        best = min(self._ranks.get(role.meaning.role, role.meaning.rank), role.meaning.rank)
        self._ranks[role.meaning.role] = best
        return role.meaning.rank == best

    def _number(self, record: Mapping[str, Cell], role: Role) -> float | None:
        if role.meaning.role in ("seconds", "step_seconds"):
            return None
        value = _float(record.get(role.name))
        is_bits = self._options.units.get(role.meaning.role) == "bits"
        return value * NATS_PER_BIT if is_bits and value is not None else value

    def _times(
        self, step: int, record: Mapping[str, Cell], roles: Mapping[str, tuple[Role, ...]]
    ) -> dict[str, float]:
        times: dict[str, float] = {}
        for found in (roles.get("step_seconds", ()), roles.get("seconds", ())):
            for role in found[:1]:
                self._time(times, step, role, _float(record.get(role.name)))
        return times

    def _time(self, times: dict[str, float], step: int, role: Role, value: float | None) -> None:
        if value is None or not math.isfinite(value):
            return
        unit, reading = self._unit(role, value), self._reading(role)
        if unit in ("steps/s", "steps/min"):
            if value > 0:
                times["step_seconds"] = (60 if unit == "steps/min" else 1) / value
        elif unit not in SECONDS_PER:
            return
        elif reading == CUMULATIVE:
            times["seconds"] = value * SECONDS_PER[unit]
            self._advance(times, step, times["seconds"])
        elif reading == RUNNING_MEAN:
            self._advance(times, step, value * SECONDS_PER[unit] * step)
        elif reading == PER_STEP and value > 0:
            times.setdefault("step_seconds", value * SECONDS_PER[unit])

    def _reading(self, role: Role) -> str:
        """How a time counts; a suffix of its unit makes it one step's, as in nanoGPT's lines.

        A bare `time 45` could be anything, and one line cannot tell: no reading.
        """
        meaning = role.meaning
        if self._options.time is not None and meaning.reading != RUNNING_MEAN:
            return CUMULATIVE if self._options.time == "cumulative" else PER_STEP
        is_known = meaning.unit or role.name in self._lines.units
        return meaning.reading or (PER_STEP if is_known else "")

    def _unit(self, role: Role, value: float) -> str:
        if role.name in self._lines.units:
            return "s"
        if role.meaning.role in self._options.units:
            return self._options.units[role.meaning.role]
        if role.meaning.unit or self._reading(role) == CUMULATIVE:
            return role.meaning.unit or "s"
        return guess_unit(np.array([value]), np.zeros(1), PER_STEP)

    def _advance(self, times: dict[str, float], step: int, seconds: float) -> None:
        before, self._clock = self._clock, (step, seconds)
        if before is not None and step > before[0] and seconds > before[1]:
            times.setdefault("step_seconds", (seconds - before[1]) / (step - before[0]))


def _rises(before: float | None, now: float | None, by: int) -> bool:
    return before is not None and now is not None and now > before and now >= before + by


def _whole(tokens: float | None) -> int:
    return int(tokens) if tokens is not None and abs(tokens) < 2**53 else 0


def _float(cell: Cell) -> float | None:
    try:
        return number(cell)
    except ValueError:
        return None
