"""CSV, TSV and their kin: which delimiter, which header, and the rows as columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from sweeper.errors import LogError
from sweeper.logs.names import meaning_of, normal_name
from sweeper.logs.runs import metric_name
from sweeper.logs.table import Table
from sweeper.logs.values import Cell

_DELIMITERS = (",", "\t", ";", "|")
ALIGNED = "  "
_GAP = re.compile(r"[ \t]{2,}|\t")
_RULE = set("|:-+ \t\r")
_NAMES = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "table with bars"}


def find_delimiter(text: str) -> str | None:
    """The delimiter of a table with a header; None where the text is no such table."""
    header = next((line for line in text[:65536].split("\n") if line.strip()), "")
    best, most = None, 0
    for delimiter in _DELIMITERS:
        names = _split(header, delimiter)
        known = sum(_is_known(name) for name in names)
        if known > most and not any(_is_number(name) for name in names):
            best, most = delimiter, known
    if best is not None and (most > 1 or len(_split(header, best)) == 1):
        return best
    if best is None and _is_aligned(text):
        return ALIGNED
    return best if best is not None and _is_table(text, best) else None


def _is_aligned(text: str) -> bool:
    """Whether columns are parted by two or more spaces, as a printed table's are."""
    lines = [line.strip() for line in text[:65536].split("\n")[:20] if line.strip()]
    widths = {len(_GAP.split(line)) for line in lines}
    names = _GAP.split(lines[0]) if lines else []
    return len(lines) > 1 and len(widths) == 1 and len(names) > 1 and all(map(_is_known, names))


def _is_known(name: str) -> bool:
    return meaning_of(metric_name(name)) is not None or normal_name(name) in ("key", "run_id")


def _is_table(text: str, delimiter: str) -> bool:
    lines = [line for line in text[:65536].split("\n")[:20] if line.strip()]
    widths = {len(_split(line, delimiter)) for line in lines[: max(len(lines) - 1, 2)]}
    return len(widths) == 1 and widths != {1}


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # a carriage return amid the line: a progress bar, no table
        return []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_csv_table(source: str, text: str, delimiter: str | None) -> Table:
    """Read a table with a header.

    Raises:
        LogError: It is damaged, or has no rows.
    """
    used = delimiter or ","
    if used == "|":
        text = "\n".join(map(_without_rules, text.split("\n")))
    elif used == ALIGNED:
        text = "\n".join(_GAP.sub("\t", line.strip()) for line in text.split("\n"))
        used = "\t"
    if (plain := _read_plain(text, used)) is not None:
        return plain
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=used, skipinitialspace=True)
    try:
        header = next((row for row in reader if any(cell.strip() for cell in row)), [])
        lines: list[int] = []
        rows: list[list[str]] = []
        for row in reader:
            if row:
                lines.append(reader.line_num)
                rows.append(row)
    except csv.Error as error:
        raise LogError(f"{source}:{reader.line_num}: not {_NAMES[used]} ({error})") from error
    names = [name.strip() for name in header]
    notes = _drop_headers(header, lines, rows)
    if rows and len(rows[-1]) < len(names) and not text.endswith("\n"):
        notes.append(f"line {lines[-1]}: cut off while being written, left out")
        rows.pop()
        lines.pop()
    if not rows:
        raise LogError(
            f"{source}: a header without rows; its columns are {', '.join(names) or 'none'} "
            "(allowed: at least one row with a loss)"
        )
    return Table(_NAMES[used], lines, _columns(names, rows), notes=tuple(notes))


def _without_rules(line: str) -> str:
    """A row of a Markdown table without its outer bars; empty for the rule below the header."""
    return "" if "-" in line and not set(line) - _RULE else line.strip().strip("|")


def _drop_headers(header: list[str], lines: list[int], rows: list[list[str]]) -> list[str]:
    """Take out headers amid the rows, which a program writes again when it is resumed."""
    again = [place for place, row in enumerate(rows) if row == header]
    if not again:
        return []
    listed = ", ".join(str(lines[place]) for place in again)
    for place in reversed(again):
        del lines[place], rows[place]
    return [f"line {listed}: the header again, passed over"]


def _read_plain(text: str, delimiter: str) -> Table | None:
    """A table without quotes, gaps and short rows, which no parser needs to look at."""
    if '"' in text or "\r" in text or text.startswith("\n"):
        return None
    lines = text.removesuffix("\n").split("\n")
    width = lines[0].count(delimiter) + 1
    if (
        len(lines) < 2
        or lines.count(lines[0]) > 1
        or any(line.count(delimiter) + 1 != width for line in lines)
    ):
        return None
    if width == 1 and "" in lines:
        return None
    cells = delimiter.join(lines[1:]).split(delimiter)
    names = [name.strip() for name in lines[0].split(delimiter)]
    columns: dict[str, list[Cell]] = {}
    for place, name in enumerate(names):
        if name and name not in columns:
            columns[name] = list(cells[place::width])
    return Table(_NAMES[delimiter], range(2, len(lines) + 1), columns)


def _columns(names: Sequence[str], rows: list[list[str]]) -> dict[str, list[Cell]]:
    width = len(names)
    if set(map(len, rows)) != {width}:
        rows = [row[:width] + [""] * (width - len(row)) for row in rows]
    columns: dict[str, list[Cell]] = {}
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        if name and name not in columns:
            columns[name] = list(cells)
    return columns
