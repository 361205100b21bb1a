"""Numbers that stand behind their names on a line: `step 7 loss 2.5`, `lr: 1e-4`, `12.5 it/s`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass

from sweeper.logs.names import meaning_of
from sweeper.logs.records import STEP_AND, has_role
from sweeper.logs.values import Cell

NUMBER = (
    r"[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?"
    r"|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
)
_RATE = r"(?:it|iters?|steps?|tok|tokens|samples)/s(?:ec)?|s/it|ms/step|s/step"
_VALUE = r"\w|\s*[:=]|\s+[-+]?\.?\d"  # what follows a name, and no unit
_PAIR = re.compile(
    r"(?<![A-Za-z_])([A-Za-z_][\w/.\- ]{0,60}?(?:\s?\([A-Za-z/%]{1,20}\))?)"
    r"(?:\s*[:=]\s*|\s+)(?:tensor\()?\[?"
    rf"({NUMBER})(?:\s?(ms|s|sec|us|µs|min|m|h|k|%|{_RATE})(?!{_VALUE}))?(?![\w])"
    r"(?:\s?/\s*(\d{1,15})\]?)?",
    re.IGNORECASE,
)
_BARE_RATE = re.compile(rf"(?<![\w.])({NUMBER})\s*({_RATE}|ms(?=\s*\|))(?!{_VALUE})", re.IGNORECASE)
_COUNTER = re.compile(r"(?:^|[\s|\[(])(\d{1,15})\s*/\s*(\d{1,15})(?=[\s\])|,:\[]|$)")
_LEADING = re.compile(r"\s*(\d{1,15})\s*\|")  # llama2.c: "490 | loss 5.75 | lr 4.9e-05"
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


@dataclass(frozen=True)
class Pair:
    """A number on a line, with its name.

    Attributes:
        name: As the line has it.
        text: The number.
        start: Where the number begins.
        factor: What makes seconds of it, or units of thousands; None where it stays as it is.
        unit: The unit of time that stood behind it.
        total: What it counts to, as in `step 7/100`; 0 where that is not said.
    """

    name: str
    text: str
    start: int
    factor: float | None = None
    unit: str = ""
    total: int = 0

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
        step = _bare_step(line)
        if step is not None:
            pairs["step"] = step
    return list(pairs.values())


def _bare_step(line: str) -> Pair | None:
    """The step of a line that does not call it so: `[7/100] loss 2.5`, `7 | loss 2.5`."""
    for counter in _COUNTER.finditer(line):
        if not line[: counter.start(1)].lower().rstrip(" [").endswith("epoch"):
            return Pair("step", counter[1], counter.start(1), total=int(counter[2]))
    leading = _LEADING.match(line)
    return Pair("step", leading[1], leading.start(1)) if leading else None


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
            yield Pair(name, match[2], match.start(2), factor, said, int(match[4] or 0))


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
