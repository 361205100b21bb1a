"""A log as columns of cells, the form into which every format is brought first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sweeper.logs.values import Cell

Record = Mapping[str, Cell]
"""One row: the log's own names and what stands there."""


@dataclass(frozen=True)
class Table:
    """Rows of a log, in its order.

    Attributes:
        format: In words: `CSV`, `nanoGPT text`, ...
        lines: The line (or record) of each row, from 1; for messages.
        columns: Name to cells, as many as there are rows.
        units: Units that the cells themselves carried, such as `{"time": "ms"}`; these cells are
            in seconds already.
        notes: What was odd.
        settings: Hyperparameters that the log prints.
        total_steps: What its lines count to; 0 where they do not say.
        place: What a number of `lines` is called: `line`, `record`.
    """

    format: str
    lines: Sequence[int]
    columns: Mapping[str, Sequence[Cell]]
    units: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    total_steps: int = 0
    place: str = "line"

    def __len__(self) -> int:
        return len(self.lines)


def columns_of(records: Sequence[Record]) -> dict[str, list[Cell]]:
    """Turn rows into columns, names in the order in which they first appear."""
    names: dict[str, None] = {}
    shapes: set[tuple[str, ...]] = set()
    for record in records:
        shape = tuple(record)
        if shape not in shapes:
            shapes.add(shape)
            names.update(dict.fromkeys(shape))
    return {name: [record.get(name) for record in records] for name in names}


def pick_rows(table: Table, rows: Iterable[int]) -> Table:
    """The same table with some of its rows."""
    chosen = list(rows)
    return replace(
        table,
        lines=[table.lines[row] for row in chosen],
        columns={name: [cells[row] for row in chosen] for name, cells in table.columns.items()},
    )
