"""Numbers that fill rows in which nothing was measured."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sweeper.logs import Log, read_log

NAN = math.nan


def read(folder: Path, rows: list[tuple[object, object]]) -> Log:
    path = folder / "run.csv"
    lines = [f"{step},{train},{val}" for step, (train, val) in enumerate(rows)]
    path.write_text("\n".join(["step,train_loss,val_loss", *lines]) + "\n")
    return read_log(path)


def test_nan_between_evaluations_is_nothing_logged(tmp_path: Path) -> None:
    log = read(tmp_path, [(9 - n / 9, 8 if n % 4 == 0 else NAN) for n in range(12)])

    assert [p.step for p in log.curve if p.val_loss is not None] == [0, 4, 8]
    assert log.notes == ("nan in the rows without an evaluation was read as nothing logged",)


def test_nan_in_turns_is_nothing_logged(tmp_path: Path) -> None:
    rows = [(NAN, 8 - n / 9) if n in (2, 3, 7, 9) else (9 - n / 9, NAN) for n in range(12)]

    log = read(tmp_path, rows)

    assert [p.step for p in log.curve if p.val_loss is not None] == [2, 3, 7, 9]
    assert [p.step for p in log.curve if p.train_loss is None] == [2, 3, 7, 9]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([5, 4, 3, NAN, NAN, NAN, NAN, NAN], id="to the end"),
        pytest.param([5, NAN, 3, NAN, 3, NAN, NAN, NAN], id="in turns, then to the end"),
        pytest.param([5, NAN, 4, 3, NAN, 2, NAN, 1], id="here and there"),
    ],
)
def test_a_validation_that_breaks_down_keeps_its_nan(tmp_path: Path, values: list[float]) -> None:
    log = read(tmp_path, [(9 - n / 9, value) for n, value in enumerate(values)])

    found = [p.val_loss for p in log.curve]
    assert str(found) == str([float(value) for value in values])


def test_a_validation_that_is_shown_on_and_on_counts_once(tmp_path: Path) -> None:
    log = read(tmp_path, [(9 - n / 9, 8 - n // 5) for n in range(18)])

    assert [(p.step, p.val_loss) for p in log.curve if p.val_loss is not None] == [
        (0, 8),
        (5, 7),
        (10, 6),
        (15, 5),
    ]
    assert "stands in 18 rows" in log.notes[0]
    assert "its 4 values" in log.notes[0]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([4] * 12, id="never changes: weights that do not update"),
        pytest.param([4, 4, 3.99, 3.99, 3.99, 3.98, 3.98, 3.98, 3.98], id="rounded"),
        pytest.param([5, 5, 4, 4, 3, 3, 2, 2], id="in pairs"),
    ],
)
def test_evaluations_that_agree_are_evaluations(tmp_path: Path, values: list[float]) -> None:
    log = read(tmp_path, [(9 - n / 9, value) for n, value in enumerate(values)])

    assert [p.val_loss for p in log.curve] == values
    assert log.notes == ()
