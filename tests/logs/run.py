"""One run of six points, and how its rows become a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

STEPS = (0, 100, 200, 300, 400, 500)
TRAIN = (8.25, 5.5, 4.75, 4.625, 6.125, 4.5)
VAL = (8.375, 5.625, 5.0, 4.875, 6.25, 4.8125)
ROWS = tuple(zip(STEPS, TRAIN, VAL, strict=True))

Writer = Callable[[Path], Path]


def write_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def write_lines(folder: Path, name: str, header: str, line: str) -> Path:
    rows = (line.format(step=s, train=t, val=v) for s, t, v in ROWS)
    return write_file(folder, name, header + "".join(row + "\n" for row in rows))
