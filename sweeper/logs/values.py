"""Numbers as logs write them: `6e-4`, `nan`, `null`, `1,000`, `1.234,5`, `10k`, `512.3ms`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

Cell = str | float | None
"""What stands in one place of a log, before anybody has read a number into it."""

NOT_LOGGED = frozenset({"", "null", "none", "na", "n/a", "-", "--", "<na>", "undefined", "no log"})
ALLOWED = "a number, nan, inf, or nothing at all"

_THOUSANDS_COMMA = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_THOUSANDS_DOT = re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_COUNT = re.compile(r"\d{1,3}(?:([.,])\d{3})+")
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
_SUFFIXED = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([kKMGBT%])")
_DURATION = re.compile(r"(?:(\d+) days?, )?(?:(\d+):)?(\d+):(\d\d(?:\.\d+)?)")
_SUFFIXES = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "%": 1.0}


def plain_numbers(cells: Sequence[Cell]) -> list[float | None] | None:
    """All cells at once where they are plain numbers or empty; None where any is not."""
    try:
        return [None if cell is None or cell == "" else float(cell) for cell in cells]
    except ValueError:
        return None


def number(cell: Cell, *, comma_is_decimal: bool = False, is_count: bool = False) -> float | None:
    """The number in a cell, None where nothing was logged.

    Args:
        cell: As the log has it.
        comma_is_decimal: Whether `1,234` is a little more than one.
        is_count: Whether it counts something, so that `1,234` cannot be.

    Raises:
        ValueError: It is something else.
    """
    if cell is None:
        return None
    if not isinstance(cell, str):
        return float(cell)
    text = cell.strip().strip("'\"*")
    if text.lower() in NOT_LOGGED:
        return None
    if is_count and (count := _COUNT.fullmatch(text)) and (count[1] == "," or comma_is_decimal):
        return float(text.replace(count[1], ""))
    if comma_is_decimal and (_THOUSANDS_DOT.fullmatch(text) or _DECIMAL_COMMA.fullmatch(text)):
        return float(text.replace(".", "").replace(",", "."))
    try:
        return float(text)
    except ValueError:
        return _written_number(text)


def _written_number(text: str) -> float:
    if _THOUSANDS_COMMA.fullmatch(text):
        return float(text.replace(",", ""))
    if match := _SUFFIXED.fullmatch(text):
        return float(match[1]) * _SUFFIXES[match[2]]
    if match := _DURATION.fullmatch(text):
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    raise ValueError(text)


def finds_decimal_commas(cells: Iterable[Cell]) -> bool | None:
    """Whether a table's commas part decimals.

    Returns:
        None where the cells do not tell: `1,234` alone could be either.
    """
    decided: bool | None = None
    for cell in cells:
        if not isinstance(cell, str) or not ("," in cell or "." in cell):
            continue
        text = cell.strip()
        if "." in text and not _THOUSANDS_DOT.fullmatch(text):
            return False  # a decimal point, which no table mixes with decimal commas
        if "," not in text:
            continue
        if not _THOUSANDS_COMMA.fullmatch(text) or text.lstrip("+-").startswith("0"):
            decided = True
    return decided
