"""The makes of line that carry numbers of a run: pairs, printed dicts, progress bars, and more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from sweeper.logs.names import meaning_of
from sweeper.logs.values import Cell

NUMBER = (
    r"[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?"
    r"|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
)
_RATE = r"(?:it|iters?|steps?|tok|tokens|samples)/s(?:ec)?|s/it|ms/step|s/step"
_VALUE = r"\w|\s*[:=]|\s+[-+]?\.?\d"  # what follows a name, and no unit
_PAIR = re.compile(
    r"([A-Za-z_][\w/.\- ]{0,60}?(?:\s?\([A-Za-z/%]{1,20}\))?)"
    r"(?:\s*[:=]\s*|\s+)(?:tensor\()?\[?"
    rf"({NUMBER})(?:\s?(ms|s|sec|us|µs|min|m|h|k|%|{_RATE})(?!{_VALUE}))?(?![\w])(?:\s?/\s*\d+\]?)?",
    re.IGNORECASE,
)
_BARE_RATE = re.compile(rf"(?<![\w.])({NUMBER})\s*({_RATE}|ms(?=\s*\|))(?!{_VALUE})", re.IGNORECASE)
_DICT_PAIR = re.compile(
    rf"""['"]([^'"]+)['"]\s*:\s*(?:tensor\()?['"]?({NUMBER}|None|null)(?=['"]?\)?\s*[,}}])""",
    re.IGNORECASE,
)
_BAR = re.compile(
    r"(?:^|[\s|])(\d{1,15})/(\d{1,15})\s*\[\s*((?:\d+:)?\d+:\d+)<[^,\]]*"
    r"(?:,\s*([\d.]+|\?)\s*(it/s|s/it))?(.*)"
)
_COUNTER = re.compile(r"(?:^|[\s|\[(])(\d+)\s*/\s*(\d+)(?=[\s\])|,:\[]|$)")
_HEADER = re.compile(r"\s*[A-Za-z_][\w /.\-()\"]*(?:[,;\t][ \w/.\-()\"]*)+")
_MEGATRON_VALIDATION = re.compile(
    rf"validation loss at iteration (\d+).*?lm loss value: ({NUMBER})", re.IGNORECASE
)
_SECONDS_PER = {
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "s": 1.0,
    "sec": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
}
_MULTIPLES = {"k": 1e3, "K": 1e3, "M": 1e6}
_LEVEL = re.compile(r"(?:DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|NOTICE)\b[\s\-.]*(?:root\b\s*)?")
_STEP_WORDS = frozenset({"step", "steps", "iter", "iteration", "global_step"})
_EPOCH = re.compile(r"epoch\s*:?\s*(\d+)", re.IGNORECASE)
_MAKES = (
    ("Megatron", re.compile(r"lm loss|consumed samples", re.IGNORECASE)),
    ("MLX-LM", re.compile(r"Iter \d+: (?:Train|Val) loss")),
    ("nanoGPT", re.compile(r"iter \d+: loss|step \d+: train loss")),
    ("modded-nanogpt", re.compile(r"step_avg:")),
    ("llm.c", re.compile(r"step +\d+/\d+ \| loss")),
)
STEP_AND = frozenset(
    {"train_loss", "val_loss", "grad_norm", "learning_rate", "loss_scale", "step_seconds"}
)
LOSSES = frozenset({"train_loss", "val_loss"})


@dataclass(frozen=True)
class Pair:
    """A number on a line, with its name.

    Attributes:
        name: As the line has it.
        text: The number.
        start: Where the number begins.
        factor: What makes seconds of it, or units of thousands; None where it stays as it is.
        unit: The unit of time that stood behind it.
    """

    name: str
    text: str
    start: int
    factor: float | None = None
    unit: str = ""

    @property
    def cell(self) -> Cell:
        """The number, in seconds where it is a time with a unit."""
        return self.text if self.factor is None else scaled(self.text, self.factor)


def scaled(text: str, factor: float) -> float:
    """A number with a unit in its own right."""
    return float(text.replace(",", "")) * factor


def find_pairs(line: str, also: Set[str] = frozenset()) -> list[Pair]:
    """The numbers of a line whose names are known, or are among `also`; the first of each."""
    pairs: dict[str, Pair] = {}
    for pair in _named(line, also):
        pairs.setdefault(pair.name, pair)
    if "/s" in line or "ms" in line or "s/it" in line:
        for pair in _bare_rates(line, {pair.start for pair in pairs.values()}):
            pairs.setdefault(pair.name, pair)
    if not has_role(pairs, {"step"}) and has_role(pairs, STEP_AND):
        for counter in _COUNTER.finditer(line):
            if not line[: counter.start(1)].lower().rstrip(" [").endswith("epoch"):
                pairs["step"] = Pair("step", counter[1], counter.start(1))
                break
    return list(pairs.values())


def _bare_rates(line: str, taken: set[int]) -> Iterator[Pair]:
    for match in _BARE_RATE.finditer(line):
        if match.start(1) not in taken:
            unit = match[2].lower()
            name = "step ms" if unit == "ms" else unit
            yield Pair(name, match[1], match.start(1))


def _named(line: str, also: Set[str]) -> Iterator[Pair]:
    for match in _PAIR.finditer(line):
        unit, written = match[3] or "", match[1].strip(" -")
        name = written if written.lower() in also else _known_name(written)
        if "/" in unit:
            yield Pair(unit.lower(), match[2], match.start(2))
        elif name:
            seconds = _SECONDS_PER.get(unit)
            factor = seconds if seconds is not None else _MULTIPLES.get(unit)
            said = {"m": "min", "sec": "s"}.get(unit, unit) if seconds is not None else ""
            yield Pair(name, match[2], match.start(2), factor, said)


def _known_name(name: str) -> str:
    """The name that is known in what stands before a number; empty where there is none.

    A logger's prefix (`INFO trainer step`) may stand before a step, but not before a loss:
    `best loss` is another thing.
    """
    for candidate in (name, _LEVEL.sub("", name, count=1), name.rsplit(" - ", 1)[-1]):
        if meaning_of(candidate) is not None:
            return candidate
    last = name.split(" ")[-1]
    return last if last.lower() in _STEP_WORDS else ""


def read_dict(line: str) -> dict[str, Cell]:
    """The numbers of a dict or a JSON object that stands on a line."""
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


@dataclass(frozen=True)
class Bar:
    """A progress bar: how far, and what stands behind it."""

    done: int
    total: int
    has_title: bool
    record: dict[str, Cell]


def read_bar(line: str, also: Set[str] = frozenset()) -> Bar | None:
    """A progress bar of tqdm's make."""
    match = _BAR.search(line)
    if match is None:
        return None
    done, total, elapsed, rate, unit, rest = match.groups()
    record: dict[str, Cell] = {pair.name: pair.cell for pair in find_pairs(rest, also)}
    if not has_role(record, {"step"}):
        record["step"] = done
    if rate and rate != "?" and float(rate) > 0:
        record["it/s"] = float(rate) if unit == "it/s" else 1 / float(rate)
    epoch = _EPOCH.search(line, 0, match.start())
    if epoch and not has_role(record, {"epoch"}):
        record["epoch"] = epoch[1]
    record["elapsed (bar)"] = _clock_seconds(elapsed)
    return Bar(int(done), int(total), ":" in line[: match.start()].split("%")[0], record)


def read_megatron_validation(line: str) -> dict[str, Cell]:
    """Megatron's `validation loss at iteration 1000 | lm loss value: 2.7E+00 | ...`."""
    match = _MEGATRON_VALIDATION.search(line)
    return {"iteration": match[1], "validation loss": match[2]} if match else {}


def find_csv_header(line: str) -> tuple[str, list[str]] | None:
    """Delimiter and names, where a line is the header of a table of losses."""
    if not _HEADER.fullmatch(line):
        return None
    for delimiter in ",;\t":
        names = [name.strip().strip('"') for name in line.split(delimiter)]
        roles = [meaning.role for name in names if (meaning := meaning_of(name))]
        if len(roles) >= 2 and not LOSSES.isdisjoint(roles):
            return delimiter, names
    return None


def read_csv_row(line: str, delimiter: str, names: list[str]) -> dict[str, Cell]:
    """The cells of a row; empty where the line is no row of that table."""
    cells = [cell.strip() for cell in line.split(delimiter)]
    if delimiter == ";":  # parts cells where commas part decimals
        cells = [cell if "." in cell else cell.replace(",", ".") for cell in cells]
    if len(cells) != len(names) or not all(map(is_number, cells)):
        return {}
    return dict(zip(names, cells, strict=True))


def kind_of(line: str) -> str:
    """Whose make a line of pairs is, for the words of a report."""
    return next((make for make, pattern in _MAKES if pattern.search(line)), "text")


def has_role(names: Iterable[str], roles: Set[str]) -> bool:
    """Whether one of the names plays one of the roles."""
    return not _roles_of(tuple(names)).isdisjoint(roles)


@lru_cache(maxsize=4096)
def _roles_of(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(meaning.role for name in names if (meaning := meaning_of(name)))


@lru_cache(maxsize=4096)
def _names_of(names: tuple[str, ...], role: str) -> tuple[str, ...]:
    """The names in a role, the plainest first."""
    found = [
        (meaning.rank, name)
        for name in names
        if (meaning := meaning_of(name)) and meaning.role == role
    ]
    return tuple(name for _, name in sorted(found))


def number_of(record: Mapping[str, Cell], role: str) -> float | None:
    """The number in a role, by the plainest of its names; None where there is none."""
    for name in _names_of(tuple(record), role):
        cell = record[name]
        if cell not in (None, "") and is_number(text := str(cell)):
            return float(text.replace(",", ""))
    return None


def is_number(cell: str) -> bool:
    """Whether a cell of a row is a number, or says that nothing was logged."""
    if not cell or cell.lower() in ("null", "none", "na"):
        return True
    try:
        float(cell.replace(",", ""))
    except ValueError:
        return False
    return True


def _clock_seconds(text: str) -> float:
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
