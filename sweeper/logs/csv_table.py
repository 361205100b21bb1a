"""CSV, TSV and their kin: which delimiter, which header, and the rows as columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from sweeper.errors import LogError
from sweeper.logs.long_table import is_long_name
from sweeper.logs.names import meaning_of, normal_name
from sweeper.logs.runs import metric_name
from sweeper.logs.table import Table
from sweeper.logs.values import Cell

_DELIMITERS = (",", "\t", ";", "|")
ALIGNED, SPACED = "  ", " "
_GAP = re.compile(r"[ \t]{2,}|\t")
_SPACES = re.compile(r"[ \t]+")
_RULE = set("|:-+ \t\r")
_HEAD = 65_536  # characters
_OF_A_NUMBER = set("+-.0123456789")
_FEW = 0.05  # of the rows may have cells too many: damage
_MAX_LISTED = 3
_NAMES = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "table with bars"}


def find_delimiter(text: str) -> str | None:
    """The delimiter of a table with a header; None where the text is no such table."""
    text = without_comments(text[:_HEAD])
    header = next((line for line in text.split("\n") if line.strip()), "")
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
    if best is None and _is_spaced(text):
        return SPACED
    return best if best is not None and _is_table(text, best) else None


def _is_aligned(text: str) -> bool:
    """Whether columns are parted by two or more spaces, as a printed table's are."""
    lines = [line.strip() for line in text.split("\n")[:20] if line.strip()]
    widths = {len(_GAP.split(line)) for line in lines}
    names = _GAP.split(lines[0]) if lines else []
    num_known = sum(map(_is_known, names))
    return len(lines) > 1 and len(widths) == 1 and num_known > 1 and num_known * 2 >= len(names)


def _is_spaced(text: str) -> bool:
    """Whether single spaces part known names and, below them, numbers, as numpy's tables do."""
    lines = [line.split() for line in text.split("\n")[:20] if line.strip()]
    is_header = len(lines) > 1 and len(lines[0]) > 1 and all(map(_is_known, lines[0]))
    width = len(lines[0]) if is_header else 0
    return is_header and all(len(x) == width and all(map(_is_number, x)) for x in lines[1:])


def _is_known(name: str) -> bool:
    return (
        meaning_of(metric_name(name)) is not None
        or is_long_name(name)
        or normal_name(name) == "run_id"
    )


def _is_table(text: str, delimiter: str) -> bool:
    lines = [line for line in text.split("\n")[:20] if line.strip()]
    widths = {len(_split(line, delimiter)) for line in lines[: max(len(lines) - 1, 2)]}
    return len(widths) == 1 and widths != {1}


def without_comments(text: str) -> str:
    """A table without the `#` lines above its header; their places stay, so that lines count on.

    The last of them is the header itself where numbers follow it, as numpy writes tables.
    """
    if not text.lstrip().startswith("#"):
        return text
    lines = text.split("\n")
    end = next((n for n, line in enumerate(lines) if line.strip() and line[:1] != "#"), len(lines))
    lines[:end] = [_header_in(lines, end) if n == end - 1 else "" for n in range(end)]
    return "\n".join(lines)


def _header_in(lines: Sequence[str], end: int) -> str:
    below = re.split(r"[,;\t| ]+", lines[end].strip()) if end < len(lines) else []
    return lines[end - 1].lstrip("# ") if below and all(map(_is_number, below)) else ""


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
    text = without_comments(text)
    if used == "|":
        text = "\n".join(map(_without_rules, text.split("\n")))
    elif used in (ALIGNED, SPACED):
        gap = _GAP if used == ALIGNED else _SPACES
        text = "\n".join(gap.sub("\t", line.strip()) for line in text.split("\n"))
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
    notes = _drop_headers(header, lines, rows) + _drop_too_long(source, names, lines, rows)
    if rows and not text.endswith("\n") and _is_cut_off(rows, len(names)):
        notes.append(f"line {lines[-1]}: cut off while being written, left out")
        rows.pop()
        lines.pop()
    if not rows:
        raise LogError(
            f"{source}: a header without rows; its columns are {', '.join(names) or 'none'} "
            "(allowed: at least one row with a loss)"
        )
    notes += _repeated(names)
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


def _drop_too_long(
    source: str, names: Sequence[str], lines: list[int], rows: list[list[str]]
) -> list[str]:
    """Take out rows with more cells than names: damage, if they are few.

    Raises:
        LogError: They are many, so that no cell of this table can be trusted.
    """
    long = [n for n, row in enumerate(rows) if any(cell.strip() for cell in row[len(names) :])]
    if not long:
        return []
    place = lines[long[0]]
    if len(long) > _FEW * len(rows):
        raise LogError(
            f"{source}:{place}: {len(rows[long[0]])} cells, but the header has {len(names)} names "
            f"({', '.join(names)}) (allowed: a cell for each name; a decimal comma needs another "
            "delimiter, such as a semicolon, or quotes)"
        )
    listed = ", ".join(str(lines[n]) for n in long[:_MAX_LISTED])
    more = f" and {len(long) - _MAX_LISTED} more" if len(long) > _MAX_LISTED else ""
    for n in reversed(long):
        del lines[n], rows[n]
    return [f"line {listed}{more}: more cells than the header has names, left out"]


def _is_cut_off(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether the last row lacks cells, or ends amid a number: `3e-`."""
    if len(rows[-1]) < width or len(rows) < 2:
        return len(rows[-1]) < width
    last, before = rows[-1][-1].strip(), rows[-2][-1]
    return bool(last) and _is_number(before) and not _is_number(last) and last[0] in _OF_A_NUMBER


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
    if len(lines) > 2 and not text.endswith("\n") and lines[-1][-1:] in set("eE+-"):
        return None  # perhaps cut off amid a number
    cells = delimiter.join(lines[1:]).split(delimiter)
    names = [name.strip() for name in lines[0].split(delimiter)]
    columns: dict[str, list[Cell]] = {}
    for place, name in enumerate(names):
        if name and name not in columns:
            columns[name] = list(cells[place::width])
    return Table(_NAMES[delimiter], range(2, len(lines) + 1), columns, notes=_repeated(names))


def _repeated(names: Sequence[str]) -> tuple[str, ...]:
    """A note for each name that several columns have."""
    repeated = dict.fromkeys(name for name in names if name and names.count(name) > 1)
    return tuple(f"several columns are called {name}: the first counts" for name in repeated)


def _columns(names: Sequence[str], rows: list[list[str]]) -> dict[str, list[Cell]]:
    width = len(names)
    if set(map(len, rows)) != {width}:
        rows = [row[:width] + [""] * (width - len(row)) for row in rows]
    columns: dict[str, list[Cell]] = {}
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        if name and name not in columns:
            columns[name] = list(cells)
    return columns
