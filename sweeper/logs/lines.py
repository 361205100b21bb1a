"""Reads text line by line: which lines carry numbers of the run, and which.

Serves whole logs and logs that are still being written, so it never looks ahead, and what it does
not understand is chatter, never an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from sweeper.logs.names import meaning_of
from sweeper.logs.printed_settings import read_setting
from sweeper.logs.values import Cell

COUNTED = "(counted)"
"""The column of steps that no line names."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_NUMBER = (
    r"[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?"
    r"|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
)
_UNIT = (
    r"(?:ms|s|sec|us|µs|k|K|M|%|(?:it|iters?|steps?|tok|tokens|samples)/s(?:ec)?|s/it|ms/step"
    r"|s/step)"
)
_PAIR = re.compile(
    rf"([A-Za-z_][\w/.\- ]*?(?:\s?\([A-Za-z/%]+\))?)(?:\s*[:=]\s*|\s+)(?:tensor\()?\[?"
    rf"({_NUMBER})(?:\s?({_UNIT}))?(?![\w])(?:\s?/\s*(\d+)\]?)?",
    re.IGNORECASE,
)
_BARE_RATE = re.compile(
    rf"(?<![\w.])({_NUMBER})\s*((?:it|iters?|steps?|tok|tokens|samples)/s|s/it|ms/step|s/step"
    rf"|ms(?=\s*\|))",
    re.IGNORECASE,
)
_DICT_PAIR = re.compile(
    rf"""['"]([^'"]+)['"]\s*:\s*(?:tensor\()?['"]?({_NUMBER}|None|null)(?=['"]?\)?\s*[,}}])""",
    re.IGNORECASE,
)
_BAR = re.compile(
    r"(?:^|[\s|])(\d+)/(\d+)\s*\[\s*((?:\d+:)?\d+:\d+)<[^,\]]*"
    r"(?:,\s*([\d.]+|\?)\s*(it/s|s/it))?(.*)"
)
_COUNTER = re.compile(r"(?:^|[\s|\[(])(\d+)\s*/\s*(\d+)(?=[\s\])|,:\[]|$)")
_ONLY_STEP = re.compile(
    r"\W*(?:global[ _]?step|step|iter|iteration)\s*[:=#]?\s*(\d+)(?:\s*/\s*\d+)?\W*", re.IGNORECASE
)
_MEGATRON_VALIDATION = re.compile(
    rf"validation loss at iteration (\d+).*?lm loss value: ({_NUMBER})", re.IGNORECASE
)
_TRAINER_HEADER = re.compile(r"(Num Epochs|Total optimization steps)\s*=\s*([\d,]+)")
_SECONDS_PER = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "s": 1.0, "sec": 1.0}
_MULTIPLES = {"k": 1e3, "K": 1e3, "M": 1e6}
_WITH_STEP = {"train_loss", "val_loss", "grad_norm", "learning_rate", "loss_scale", "step_seconds"}
_MARKS = ("loss", "step", "iter", "/", "{", "val", "nll", "ce", ",", "=", ":", "..")


@dataclass
class LineReader:
    """Reads lines in their order.

    Attributes:
        units: Units that the numbers of some names carried; these are in seconds already.
        settings: Hyperparameters that were printed on the way.
        kinds: How many rows came in which make of line.
        inferred: How steps were found for lines that name none, with the count of such lines.
    """

    pattern: re.Pattern[str] | None = None
    units: dict[str, str] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    inferred: dict[str, int] = field(default_factory=dict)
    _step: int | None = None  # of the last row, or of a line that says only a step
    _is_pending: bool = False  # whether the lines below a lone step still belong to it
    _count: int = 0
    _bar: tuple[int, int] | None = None
    _last_inferred: int = 0
    _header: list[str] | None = None
    _delimiter: str = ","

    def read(self, line: str) -> dict[str, Cell] | None:
        """What one line says of the run; None for chatter."""
        if "\x1b" in line:
            line = _ANSI.sub("", line)
        if self.pattern is not None:
            return self._read_pattern(self.pattern, line)
        found = self._read_any(line)
        if found is None:
            return None
        kind, numbers = found
        record = self._with_step(numbers)
        if record is not None:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        return record

    def _read_pattern(self, pattern: re.Pattern[str], line: str) -> dict[str, Cell] | None:
        match = pattern.search(line)
        if match is None:
            return None
        self.kinds["pattern"] = self.kinds.get("pattern", 0) + 1
        return self._with_step({name: cell for name, cell in match.groupdict().items() if cell})

    def _read_any(self, line: str) -> tuple[str, dict[str, Cell]] | None:
        if "{" in line and "}" in line and (record := _read_dict(line)):
            return "dict", record
        if "[" in line and "<" in line and (bar := _BAR.search(line)):
            return self._read_bar(line, bar)
        if "validation loss at" in line and (match := _MEGATRON_VALIDATION.search(line)):
            return "Megatron", {"iteration": match[1], "validation loss": match[2]}
        if row := self._read_csv(line):
            return "CSV", row
        if lone := _ONLY_STEP.fullmatch(line):
            self._step, self._is_pending = int(lone[1]), True
            return None
        self._read_header(line)
        record = self._read_pairs(line)
        kind = _kind(line)
        return (kind, record) if record else None

    def _read_header(self, line: str) -> None:
        if "=" in line or ".." in line or ":" in line:
            if match := _TRAINER_HEADER.search(line):
                self.settings[match[1]] = int(match[2].replace(",", ""))
            else:
                self.settings.update(read_setting(line))

    def _read_pairs(self, line: str) -> dict[str, Cell]:
        record: dict[str, Cell] = {}
        for name, text, unit, _ in _PAIR.findall(line):
            self._keep(record, name.strip(" -"), text, unit)
        if "/s" in line or "ms" in line:
            for text, unit in _BARE_RATE.findall(line):
                record.setdefault("step ms" if unit == "ms" else unit, text)
        if not _has_role(record, {"step"}) and _has_role(record, _WITH_STEP):
            counter = _COUNTER.search(line)
            if counter and not line[: counter.start() + 1].lower().rstrip(" [").endswith("epoch"):
                record["step"] = counter[1]
        return record

    def _keep(self, record: dict[str, Cell], name: str, text: str, unit: str) -> None:
        if "/" in unit:
            record.setdefault(unit, text)
            return
        if meaning_of(name) is None or name in record:
            return
        if unit in _SECONDS_PER:
            self.units.setdefault(name, unit)
            record[name] = float(text.replace(",", "")) * _SECONDS_PER[unit]
        elif unit in _MULTIPLES:
            record[name] = float(text.replace(",", "")) * _MULTIPLES[unit]
        else:
            record[name] = text

    def _read_bar(self, line: str, bar: re.Match[str]) -> tuple[str, dict[str, Cell]] | None:
        done, total, elapsed, rate, unit, rest = bar.groups()
        description = line[: bar.start()].split("%")[0]
        if ":" not in description and (self._bar is None or self._bar[1] == int(total)):
            self._bar = (int(done), int(total))
        record = self._read_pairs(rest)
        if not _has_role(record, {"train_loss", "val_loss"}):
            return None
        if not _has_role(record, {"step"}):
            record["step"] = done
        if rate and rate != "?":
            record[unit] = rate
        record["elapsed (bar)"] = _clock_seconds(elapsed)
        return "progress bar", record

    def _read_csv(self, line: str) -> dict[str, Cell] | None:
        if self._header is None:
            self._find_csv_header(line)
            return None
        cells = line.split(self._delimiter)
        if len(cells) != len(self._header):
            return None
        if not all(_is_number(cell) for cell in cells):
            return None
        return dict(zip(self._header, (cell.strip() for cell in cells), strict=True))

    def _find_csv_header(self, line: str) -> None:
        for delimiter in (",", ";", "\t"):
            if delimiter not in line:
                continue
            names = [name.strip().strip('"') for name in line.split(delimiter)]
            roles = [meaning.role for name in names if (meaning := meaning_of(name))]
            if len(roles) >= 2 and {"train_loss", "val_loss"} & set(roles):
                self._header, self._delimiter = names, delimiter

    def _with_step(self, record: dict[str, Cell]) -> dict[str, Cell] | None:
        """The record with a step, if it can be had; None where it says nothing of a step."""
        if "train_runtime" in record:  # the summary of a whole run
            return None
        step = _step_of(record)
        if step is not None:
            if not _has_role(record, _WITH_STEP | {"seconds"}):
                return None
            self._step, self._is_pending = step, False
            return record
        roles = _WITH_STEP if self._is_pending else {"train_loss", "val_loss"}
        return self._infer_step(record) if _has_role(record, roles) else None

    def _infer_step(self, record: dict[str, Cell]) -> dict[str, Cell] | None:
        trains = _has_role(record, {"train_loss"})
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
        epoch = _number_of(record, "epoch")
        per_epoch = self._steps_per_epoch()
        if epoch is not None and per_epoch:
            return self._found("epoch", max(round(epoch * per_epoch), 0))
        if not trains and self._count:
            return self._last_inferred
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

    def _steps_per_epoch(self) -> float | None:
        epochs, total = (self.settings.get(n) for n in ("Num Epochs", "Total optimization steps"))
        if isinstance(epochs, int) and isinstance(total, int) and epochs > 0:
            return total / epochs
        return None


def _kind(line: str) -> str:
    lower = line.lower()
    if "consumed samples" in lower or "lm loss" in lower:
        return "Megatron"
    if "it/sec" in lower:
        return "MLX-LM"
    if lower.startswith(("iter ", "step ")) and "loss " in lower and "=" not in lower:
        return "nanoGPT"
    return "text"


def _read_dict(line: str) -> dict[str, Cell]:
    start, end = line.index("{"), line.rindex("}") + 1
    body = line[start:end]
    if body.startswith('{"') and (record := _read_json(body)):
        return record
    return dict(_DICT_PAIR.findall(body))


def _read_json(body: str) -> dict[str, Cell]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return flat_record(value) if isinstance(value, dict) else {}


def flat_record(value: dict[str, object], prefix: str = "") -> dict[str, Cell]:
    """The numbers and texts of a nested object, names joined by `/`; lists are left out."""
    record: dict[str, Cell] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            record.update(flat_record(item, f"{prefix}{key}/"))
        elif isinstance(item, bool):
            continue
        elif item is None or isinstance(item, (int, float, str)):
            record[f"{prefix}{key}"] = item
    return record


def _has_role(record: dict[str, Cell], roles: set[str]) -> bool:
    return any((meaning := meaning_of(name)) and meaning.role in roles for name in record)


def _number_of(record: dict[str, Cell], role: str) -> float | None:
    for name, cell in record.items():
        meaning = meaning_of(name)
        if meaning and meaning.role == role and cell is not None and _is_number(str(cell)):
            return float(str(cell).replace(",", "") or "nan")
    return None


def _step_of(record: dict[str, Cell]) -> int | None:
    step = _number_of(record, "step")
    return int(step) if step is not None and step == step and abs(step) < 2**53 else None


def _is_number(cell: str) -> bool:
    text = cell.strip()
    if not text:
        return True
    try:
        float(text.replace(",", ""))
    except ValueError:
        return text.lower() in ("null", "none", "na")
    return True


def _clock_seconds(text: str) -> float:
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
