"""JSON logs as tables: an object per line, one list, columns as lists, trainer_state.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sweeper.errors import LogError
from sweeper.logs.records import flat_record
from sweeper.logs.table import Record, Table, columns_of
from sweeper.logs.values import Cell

TRAINER_FORMAT = "Hugging Face trainer_state.json"
_FEW_OTHERS = 0.05  # of the lines may be no objects: damage, which an error names


def read_document(text: str) -> Any:
    """The JSON value that a whole text is; None where it is none (or several)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def looks_like_jsonl(text: str) -> bool:
    """Whether all lines but a few are JSON objects; else it is text with JSON in it."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    others = sum(not (line.startswith('{"') and line.endswith("}")) for line in lines)
    return bool(lines) and others <= max(_FEW_OTHERS * len(lines), 1) and others < len(lines)


def read_jsonl_table(source: str, text: str) -> Table:
    """Read an object per line.

    Raises:
        LogError: A line before the last is no object.
    """
    lines: list[int] = []
    records: list[Record] = []
    notes: list[str] = []
    whole = text.split("\n")
    for number, line in enumerate(whole, start=1):
        if not line or line.isspace():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(whole):  # no newline after it: cut off while being written
                notes.append(f"line {number}: cut off while being written, left out")
                break
            raise LogError(
                f"{source}:{number}: no JSON ({error}) (allowed: one object a line; --format text "
                "passes over such lines)"
            ) from error
        if not isinstance(value, dict):
            raise LogError(
                f"{source}:{number}: {line[:60]!r} is no object (allowed: one object a line)"
            )
        lines.append(number)
        records.append(flat_record(value))
    return _table("JSON lines", lines, records, tuple(notes), "line")


def read_document_table(source: str, value: Any) -> Table:
    """Read one JSON value: a list of objects, an object of lists, a trainer's state.

    Raises:
        LogError: It is something else.
    """
    if isinstance(value, dict) and isinstance(value.get("log_history"), list):
        return read_trainer_state(value)
    if isinstance(value, list) and value and all(map(_is_scalar_event, value)):
        names = ("Wall time", "Step", "Value")
        events = {name: [item[place] for item in value] for place, name in enumerate(names)}
        return Table("TensorBoard JSON", range(1, len(value) + 1), events, place="record")
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return _table("JSON list", range(1, len(value) + 1), list(map(flat_record, value)))
    if isinstance(value, dict):
        if columns := _list_columns(value):
            return _columns_table(source, value, columns)
        for item in value.values():
            if isinstance(item, list) and item and all(isinstance(part, dict) for part in item):
                return read_document_table(source, item)
        if any(isinstance(item, (int, float)) for item in value.values()):
            return _table("JSON lines", [1], [flat_record(value)], (), "line")
    kind = "an empty list" if value == [] else type(value).__name__
    raise LogError(
        f"{source}: JSON that is no log ({kind}) (allowed: a list of objects, an object of lists "
        "of numbers, an object with log_history, or an object on each line)"
    )


def _is_scalar_event(item: object) -> bool:
    """Whether this is a time, a step and a value, as TensorBoard's page exports them."""
    if not isinstance(item, list) or len(item) != 3:
        return False
    return all(part is None or isinstance(part, (int, float, str)) for part in item)


def read_trainer_state(value: Mapping[str, Any]) -> Table:
    """The history in a `trainer_state.json`, and the settings beside it."""
    records = [
        flat_record(item)
        for item in value["log_history"]
        if isinstance(item, dict) and "train_runtime" not in item  # the summary of a whole run
    ]
    settings = {
        name: item
        for name, item in value.items()
        if isinstance(item, (int, float)) and not isinstance(item, bool)
    }
    table = _table(TRAINER_FORMAT, range(1, len(records) + 1), records)
    return Table(table.format, table.lines, table.columns, settings=settings, place=table.place)


def _table(
    name: str,
    lines: Sequence[int],
    records: Sequence[Record],
    notes: tuple[str, ...] = (),
    place: str = "record",
) -> Table:
    if any("train_runtime" in record for record in records):
        kept = [row for row, record in enumerate(records) if "train_runtime" not in record]
        lines, records = [lines[row] for row in kept], [records[row] for row in kept]
    return Table(name, lines, columns_of(records), notes=notes, place=place)


def _list_columns(value: Mapping[str, Any]) -> dict[str, list[Cell]]:
    return {
        name: item
        for name, item in value.items()
        if isinstance(item, list)
        and item
        and all(part is None or isinstance(part, (int, float, str)) for part in item)
    }


def _columns_table(source: str, value: Mapping[str, Any], columns: dict[str, list[Cell]]) -> Table:
    lengths = {name: len(cells) for name, cells in columns.items()}
    num = max(lengths.values())
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise LogError(
            f"{source}: its lists are not equally long ({listed}); write null where nothing was "
            "logged"
        )
    settings = {
        name: item
        for name, item in value.items()
        if isinstance(item, (int, float)) and not isinstance(item, bool)
    }
    return Table("JSON lists", range(1, num + 1), columns, settings=settings, place="record")
