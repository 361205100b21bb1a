"""Reads text line by line: which lines carry numbers of the run, and at which step.

Serves whole logs and logs that are still being written, so it never looks ahead, and what it does
not understand is chatter, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from sweeper.logs.line_forms import (
    Bar,
    find_csv_header,
    kind_of,
    read_bar,
    read_csv_row,
    read_dict,
    read_llm_c,
    read_megatron_validation,
    read_plain_bar,
)
from sweeper.logs.pairs import Pair, find_pairs
from sweeper.logs.printed_settings import SettingReader
from sweeper.logs.records import (
    COUNTED,
    LOSSES,
    STEP_AND,
    has_role,
    is_number,
    names_in_role,
    number_of,
)
from sweeper.logs.templates import Template, learn_template
from sweeper.logs.values import Cell

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_ONLY_EPOCH = re.compile(r"\W*epoch\s*[:=#]?\s*(\d{1,9})(?:\s*/\s*\d+)?\W*", re.IGNORECASE)
_STEP_IN_BRACKETS = re.compile(
    r".*\[(?:step|batch)=(\d{1,15})(?:/(\d{1,15}))?(?:,\s*epoch=\d+)?\]\W*"
)
_EPOCH_IN_BRACKETS = re.compile(r"\[epoch=(\d{1,9})")
_ONLY_STEP = re.compile(
    r"\W*(?:global[ _]?step|step|iter|iteration)\s*[:=#]?\s*(\d{1,15})(?:\s*/\s*(\d{1,15}))?\W*",
    re.IGNORECASE,
)
_SUMMARY = re.compile(r"\W*(?:train|eval|predict|test) metrics\W*", re.IGNORECASE)
_SUMMARY_ITEM = re.compile(r"\w+ +=\s+\S.*")
_LONGEST = 20_000  # characters; a longer line is data or weights, no report
_MAX_TEMPLATES = 8
_LARGEST = 2**53


@dataclass
class LineReader:
    """Reads lines in their order.

    Attributes:
        pattern: The user's own; then no other is tried.
        columns: Roles of names, in small letters, that the user says more of than names do.
        units: Units that the numbers of some names carried; these are in seconds already.
        total_steps: What the lines count to, as in `step 7/100`; 0 where they do not say or do
            not agree.
        kinds: How many rows came in which make of line.
        inferred: How steps were found for lines that name none, with the count of such lines.
    """

    pattern: re.Pattern[str] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    total_steps: int | None = None
    kinds: dict[str, int] = field(default_factory=dict)
    inferred: dict[str, int] = field(default_factory=dict)
    _header: SettingReader = field(default_factory=SettingReader)
    _templates: list[Template] = field(default_factory=list)
    _step: int | None = None  # of the last row, or of a line that says only a step
    _epoch: str | None = None  # of a line that says only an epoch
    _is_pending: bool = False  # whether the lines below a lone step still belong to it
    _count: int = 0
    _bar: tuple[int, int] | None = None
    _last_inferred: int = 0
    _table: tuple[str, list[str]] | None = None
    _in_summary: bool = False

    @property
    def settings(self) -> dict[str, object]:
        """Hyperparameters that were printed on the way."""
        return self._header.settings

    def read(self, line: str) -> dict[str, Cell] | None:
        """What one line says of the run; None for chatter."""
        if "\x1b" in line:
            line = _ANSI.sub("", line)
        line = line.strip()
        if len(line) > _LONGEST and not line.startswith("{"):
            return None
        if self.pattern is not None:
            return self._read_pattern(self.pattern, line)
        record = self._read_known(line) or self._read_anew(line)
        if record and self._epoch is not None and not has_role(record, {"epoch"}):
            record["epoch"] = self._epoch
        return record

    def _read_known(self, line: str) -> dict[str, Cell] | None:
        for template in self._templates:
            if found := template.read(line):
                self._step, record = found
                self._is_pending = False
                self.kinds[template.kind] += 1
                return record
        return None

    def _read_anew(self, line: str) -> dict[str, Cell] | None:
        kind, numbers = self._read_special(line)
        pairs: list[Pair] = []
        if not kind:
            self._read_header(line)
            kind, pairs = kind_of(line), find_pairs(line, self.columns.keys())
            numbers = {pair.name: pair.cell for pair in pairs}
        if not numbers:
            return None
        names_step = self._plays(numbers, {"step"})
        record = self._with_step(numbers)
        if record is None:
            return None
        self.units.update((pair.name, pair.unit) for pair in pairs if pair.unit)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if pairs and names_step:
            self._learn(line, pairs, kind)
            if not self._plays(record, {"epoch"}):  # else it may be the steps of an epoch
                self._count_to(max(pair.total for pair in pairs))
        return record

    def _count_to(self, total: int) -> None:
        if total:
            self.total_steps = total if self.total_steps in (None, total) else 0

    def _learn(self, line: str, pairs: list[Pair], kind: str) -> None:
        steps = [p.name for p in pairs if self.columns.get(p.name.lower()) == "step"]
        steps += names_in_role(tuple(pair.name for pair in pairs), "step")
        template = learn_template(line, pairs, steps[0], kind)
        if template is not None:
            self._templates = [template, *self._templates][:_MAX_TEMPLATES]

    def _read_pattern(self, pattern: re.Pattern[str], line: str) -> dict[str, Cell] | None:
        match = pattern.search(line)
        if match is None:
            return None
        self.kinds["pattern"] = self.kinds.get("pattern", 0) + 1
        return self._with_step({name: cell for name, cell in match.groupdict().items() if cell})

    def _read_special(self, line: str) -> tuple[str, dict[str, Cell]]:
        """Makes of line other than pairs, and lines that are used up; no kind for the rest."""
        bar = None
        if "[" in line and "<" in line:
            if plain := read_plain_bar(line):
                self._go_to(*plain)
                return "progress bar", {}
            bar = read_bar(line, self.columns.keys())
        if bar and not bar.has_title:
            self._go_to(bar.done, bar.total)
        if "{" in line and "}" in line[line.index("{") :] and (record := read_dict(line)):
            return "dict", record
        if bar:
            return "progress bar", self._of_bar(bar)
        if " at iteration" in line and (record := read_megatron_validation(line)):
            return "Megatron", record
        if line.startswith("s:") and (found := read_llm_c(line)) is not None:
            return "llm.c", found
        if self._table is None and (header := find_csv_header(line)):
            self._table = header
            return "CSV", {}
        if self._table is not None and (record := read_csv_row(line, *self._table)):
            return "CSV", record
        return ("text" if self._is_used_up(line) else ""), {}

    def _go_to(self, done: int, total: int) -> None:
        """Follow the run's own bar: the first one; others belong to evaluations."""
        if self._bar is None or self._bar[1] == total:
            self._bar = (done, total)

    def _of_bar(self, bar: Bar) -> dict[str, Cell]:
        if not self._plays(bar.record, LOSSES):
            return {}
        if not bar.names_step and not bar.has_title and not has_role(bar.record, {"epoch"}):
            self._count_to(bar.total)
        return bar.record

    def _is_used_up(self, line: str) -> bool:
        """Whether a line only says where those below it belong, or sums up a finished run."""
        if epoch := _ONLY_EPOCH.fullmatch(line):
            self._epoch = epoch[1]
            return True
        if lone := _ONLY_STEP.fullmatch(line) or _STEP_IN_BRACKETS.fullmatch(line):
            self._step, self._is_pending = int(lone[1]), True
            if epoch := _EPOCH_IN_BRACKETS.search(line, 0, lone.start(1)):
                self._epoch = epoch[1]
            elif lone[2]:
                self._count_to(int(lone[2]))
            return True
        if _SUMMARY.fullmatch(line):
            self._in_summary = True
        elif self._in_summary:
            self._in_summary = _SUMMARY_ITEM.fullmatch(line) is not None
        return self._in_summary

    def _read_header(self, line: str) -> None:
        if not self.kinds and not self._is_pending:
            self._header.read(line)

    def _with_step(self, record: dict[str, Cell]) -> dict[str, Cell] | None:
        """The record with a step, if it can be had; None where it says nothing of a step."""
        if "train_runtime" in record:  # the summary of a whole run
            return None
        step = self._number(record, "step")
        if step is not None:
            is_whole = abs(step) < _LARGEST and step.is_integer()
            if not is_whole or not self._plays(record, STEP_AND | {"seconds"}):
                return None
            self._step, self._is_pending = int(step), False
            return record
        roles = STEP_AND | {"tokens"} if self._is_pending else LOSSES
        return self._infer_step(record) if self._plays(record, roles) else None

    def _infer_step(self, record: dict[str, Cell]) -> dict[str, Cell] | None:
        trains = self._plays(record, {"train_loss"})
        if self._is_pending:
            record["step"] = self._step
            return record
        if self._step is not None:  # the log names its steps: an evaluation belongs to the last
            if trains:
                return None
            record["step"] = self._step
            return record
        record[COUNTED] = self._count_step(record, trains)
        return record

    def _count_step(self, record: dict[str, Cell], trains: bool) -> int:
        epoch = number_of(record, "epoch")
        per_epoch = self._header.steps_per_epoch()
        if epoch is not None and per_epoch:
            return self._found("epoch", max(round(epoch * per_epoch), self._steps_of_bar()))
        if not trains:  # before any training it is the start's
            return self._last_inferred if self._count else self._found("count", 0)
        self._count += 1
        if self._bar is not None and self._bar[0] > self._last_inferred:
            return self._found("bar", self._bar[0])
        every = self.settings.get("logging_steps")
        if isinstance(every, int) and every > 0:
            return self._found("logging_steps", self._count * every)
        return self._found("count", max(self._count, self._last_inferred + 1))

    def _found(self, how: str, step: int) -> int:
        self.inferred[how] = self.inferred.get(how, 0) + 1
        self._last_inferred = step
        return step

    def _steps_of_bar(self) -> int:
        """Where the run's own bar is: past an epoch that is counted from 0 and has ended."""
        is_own = self._bar is not None and self._bar[1] == self._header.total_steps()
        return self._bar[0] if self._bar is not None and is_own else 0

    def _plays(self, record: Mapping[str, Cell], roles: Set[str]) -> bool:
        """Whether something in a record plays one of the roles, by name or by the user's word."""
        if has_role(record, roles):
            return True
        return bool(self.columns) and any(self.columns.get(n.lower()) in roles for n in record)

    def _number(self, record: Mapping[str, Cell], role: str) -> float | None:
        for name, cell in record.items() if self.columns else ():
            if self.columns.get(name.lower()) == role and cell and is_number(str(cell)):
                return float(str(cell).replace(",", ""))
        return number_of(record, role)
