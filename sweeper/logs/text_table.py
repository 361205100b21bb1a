"""Plain text of any make as a table, by the lines that `LineReader` understands."""

from __future__ import annotations

import re

from sweeper.errors import LogError
from sweeper.logs.lines import LineReader
from sweeper.logs.log import LogOptions
from sweeper.logs.names import ROLES, meaning_of
from sweeper.logs.table import Table, columns_of
from sweeper.logs.values import Cell

_NAMES = {"text": "plain text", "dict": "printed dicts", "CSV": "text with CSV"}
_HOW = {
    "epoch": "from the epoch and the total number of steps",
    "bar": "from the progress bar before them",
    "logging_steps": "by counting them and multiplying with logging_steps",
    "count": "by counting them from 1",
}
_MAX_SHOWN, _MAX_WIDTH = 3, 80


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The user's own pattern.

    Raises:
        LogError: It is no regular expression, or lacks the groups that make a point.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        place = f" at position {error.pos}" if error.pos is not None else ""
        raise LogError(f"--pattern: not a regular expression{place}: {error.msg}") from error
    groups = set(compiled.groupindex)
    if not groups & {"train_loss", "val_loss", "loss"}:
        raise LogError(
            "--pattern: has no group named train_loss or val_loss, such as "
            f"(?P<train_loss>[0-9.]+); it has {', '.join(sorted(groups)) or 'none'} (allowed: "
            f"{', '.join(ROLES)})"
        )
    return compiled


def line_reader(options: LogOptions) -> LineReader:
    """A reader of lines that knows what the user says of them.

    Raises:
        LogError: The pattern is wrong.
    """
    pattern = compile_pattern(options.pattern) if options.pattern is not None else None
    return LineReader(pattern, {name.lower(): role for role, name in options.columns.items()})


def read_text_table(source: str, text: str, options: LogOptions) -> Table:
    """Read plain text.

    Raises:
        LogError: No line gives a loss; with the first lines.
    """
    reader = line_reader(options)
    lines: list[int] = []
    records: list[dict[str, Cell]] = []
    read = reader.read
    for number, whole in enumerate(text.split("\n"), start=1):
        for line in whole.split("\r") if "\r" in whole else (whole,):
            record = read(line)
            if record is not None:
                lines.append(number)
                records.append(record)
    if not records:
        raise LogError(_nothing_found(source, text, options.pattern))
    columns = columns_of(records)
    notes = _notes(reader, columns)
    kind = max(reader.kinds, key=lambda kind: reader.kinds[kind])
    return Table(
        _NAMES.get(kind, f"{kind} text"),
        lines,
        columns,
        units=reader.units,
        notes=notes,
        settings=reader.settings,
        total_steps=reader.total_steps or 0,
    )


def _notes(reader: LineReader, columns: dict[str, list[Cell]]) -> tuple[str, ...]:
    names_step = any((meaning := meaning_of(name)) and meaning.role == "step" for name in columns)
    if names_step or not reader.inferred:
        return ()
    how = "; ".join(f"{num} {_HOW[name]}" for name, num in reader.inferred.items())
    return (f"the lines name no step; steps were found {how}",)


def _nothing_found(source: str, text: str, pattern: str | None) -> str:
    shown = [line.strip()[:_MAX_WIDTH] for line in text.split("\n") if line.strip()]
    seen = " | ".join(shown[:_MAX_SHOWN])
    if pattern is not None:
        return f"{source}: no line matches --pattern {pattern}; the first lines are: {seen}"
    return (
        f"{source}: no line gives a loss; the first lines are: {seen}. If a line names it "
        "otherwise, say --column train_loss=NAME; a table needs a line with its names "
        "above it; for the rest there is "
        r"--pattern, such as 'step (?P<step>\d+).*loss (?P<train_loss>\S+)'"
    )
