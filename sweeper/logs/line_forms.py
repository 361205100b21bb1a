"""The makes of line that carry numbers of a run: pairs, printed dicts, progress bars, and more."""

from __future__ import annotations

import json
import re
from collections.abc import Set
from dataclasses import dataclass

from sweeper.logs.names import meaning_of
from sweeper.logs.pairs import NUMBER, find_pairs
from sweeper.logs.records import LOSSES, flat_record, has_role, is_number
from sweeper.logs.values import Cell

_DICT_PAIR = re.compile(
    rf"""['"]([^'"]+)['"]\s*:\s*(?:tensor\()?['"]?({NUMBER}|None|null)(?=['"]?\)?\s*[,}}])""",
    re.IGNORECASE,
)
_BAR = re.compile(
    r"(?:^|[\s|])(\d{1,15})/(\d{1,15})\s*\[\s*((?:\d+:)?\d+:\d+)<[^,\]]*"
    r"(?:,\s*([\d.]+|\?)\s*(it/s|s/it))?(.*)"
)
_HEADER = re.compile(r"\s*[A-Za-z_][\w /.\-()\"]*(?:[,;\t][ \w/.\-()\"]*)+")
_PLAIN_BAR = re.compile(
    r"\d{1,3}%\|[^|]*\|\s*(\d{1,15})/(\d{1,15})\s*\[[\d:]+<[\d:?]+,\s*[\d.?]+(?:it/s|s/it)\]"
)
_BAR_TITLE = re.compile(r"(?P<title>.*?):?\s*\d{1,3}%\|")
_TORCHTUNE_TITLE = re.compile(r"(\d{1,9})\|(\d{1,15})\|")
_MEGATRON_VALIDATION = re.compile(
    rf"validation (?:loss|results) at iteration (\d+).*?lm[ _]loss value: ({NUMBER})", re.IGNORECASE
)
_LLM_C = re.compile(
    rf"s:(\d{{1,15}}) (?:eval:.*|(trl|tel):({NUMBER})(?: lr:({NUMBER}))?(?: norm:({NUMBER}))?)"
)
_EPOCH = re.compile(r"epoch\s*:?\s*(\d+)", re.IGNORECASE)
_MAKES = (
    ("Megatron", re.compile(r"lm loss|consumed samples", re.IGNORECASE)),
    ("MLX-LM", re.compile(r"Iter \d+: (?:Train|Val) loss")),
    ("nanoGPT", re.compile(r"iter \d+: loss|step \d+: train loss")),
    ("modded-nanogpt", re.compile(r"step_avg:")),
    ("llm.c", re.compile(r"step +\d+/\d+ \| loss")),
    ("NeMo", re.compile(r"reduced_train_loss")),
)


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


@dataclass(frozen=True)
class Bar:
    """A progress bar: how far, and what stands around it.

    Attributes:
        has_title: Whether it names what it counts; then it need not be the run's own.
        names_step: Whether its step stands there in words, and is no count of the bar.
    """

    done: int
    total: int
    has_title: bool
    names_step: bool
    record: dict[str, Cell]


def read_plain_bar(line: str) -> tuple[int, int] | None:
    """How far a bar is that shows nothing else; most of a log's lines may be such bars."""
    match = _PLAIN_BAR.fullmatch(line)
    return (int(match[1]), int(match[2])) if match else None


def read_bar(line: str, also: Set[str] = frozenset()) -> Bar | None:
    """A progress bar of tqdm's make."""
    match = _BAR.search(line)
    if match is None:
        return None
    done, total, elapsed, rate, unit, rest = match.groups()
    record: dict[str, Cell] = _title_record(line[: match.start()] + " ", also)
    record.update((pair.name, pair.cell) for pair in find_pairs(rest, also))
    names_step = has_role(record, {"step"})
    if not names_step:
        record["step"] = done
    if rate and rate != "?" and float(rate) > 0:
        record["it/s"] = float(rate) if unit == "it/s" else 1 / float(rate)
    epoch = _EPOCH.search(line, 0, match.start())
    if epoch and not has_role(record, {"epoch"}):
        record["epoch"] = epoch[1]
    record["elapsed (bar)"] = _clock_seconds(elapsed)
    has_title = ":" in line[: match.start()].split("%")[0]
    return Bar(int(done), int(total), has_title, names_step, record)


def _title_record(before: str, also: Set[str]) -> dict[str, Cell]:
    """The numbers that a program writes as the bar's title, such as `loss 2.5: 10%|`."""
    match = _BAR_TITLE.match(before)
    title = match["title"] if match else ""
    record: dict[str, Cell] = {}
    if tune := _TORCHTUNE_TITLE.match(title):
        record = {"epoch": tune[1], "step": tune[2]}
        title = title[tune.end() :]
    found = {pair.name: pair.cell for pair in find_pairs(title, also)}
    return record | found if has_role(found, LOSSES) else {}


def read_megatron_validation(line: str) -> dict[str, Cell]:
    """Megatron's `validation loss at iteration 1000 | lm loss value: 2.7E+00`, and GPT-NeoX's."""
    match = _MEGATRON_VALIDATION.search(line)
    return {"iteration": match[1], "validation loss": match[2]} if match else {}


def read_llm_c(line: str) -> dict[str, Cell] | None:
    """A line of llm.c's `main.log`, such as `s:20 trl:4.5 lr:0.0003 norm:1.2`.

    Returns:
        None for lines of another make, and nothing for one that holds no loss: `eval` is an
        accuracy.
    """
    match = _LLM_C.fullmatch(line)
    if match is None:
        return None
    step, kind, loss, rate, norm = match.groups()
    if kind is None:
        return {}
    name = "train loss" if kind == "trl" else "val loss"
    cells = {"step": step, name: loss, "lr": rate, "norm": norm}
    return {name: cell for name, cell in cells.items() if cell is not None}


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


def _clock_seconds(text: str) -> float:
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
