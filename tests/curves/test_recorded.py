from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.curves import Point, read_recorded_log
from sweeper.errors import DataError


def log(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("step", ["step", "steps", "iter", "iteration", "global_step", " Step "])
@pytest.mark.parametrize("train", ["train_loss", "train", "loss", "train/loss"])
def test_columns_go_by_many_names(tmp_path: Path, step: str, train: str) -> None:
    path = log(tmp_path, f"{step},{train},lr,extra\n5,6.5,1e-3,x\n")

    assert read_recorded_log(path).points == (Point(5, 0, train_loss=6.5, learning_rate=1e-3),)


@pytest.mark.parametrize("val", ["val_loss", "val", "eval_loss", "eval/loss", "validation_loss"])
def test_a_validation_loss_alone_is_enough(tmp_path: Path, val: str) -> None:
    path = log(tmp_path, f"step,tokens,{val},grad_norm\n5,640,6.5,2.5\n")

    assert read_recorded_log(path).points == (Point(5, 640, val_loss=6.5, grad_norm=2.5),)


def test_the_plainer_name_wins(tmp_path: Path) -> None:
    path = log(tmp_path, "step,loss,train_loss\n1,9,5\n")

    assert read_recorded_log(path).points[0].train_loss == 5.0


def test_empty_cells_and_short_rows_are_not_recorded(tmp_path: Path) -> None:
    path = log(tmp_path, "step,train_loss,val_loss\n1,6.0,\n2, ,5.0\n3,4.0\n")

    assert read_recorded_log(path).points == (
        Point(1, 0, train_loss=6.0),
        Point(2, 0, val_loss=5.0),
        Point(3, 0, train_loss=4.0),
    )


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    path = log(tmp_path, "\ufeffstep,loss\r\n1,6.0\r\n")

    assert read_recorded_log(path).points == (Point(1, 0, train_loss=6.0),)


def test_points_come_in_the_order_of_their_steps(tmp_path: Path) -> None:
    path = log(tmp_path, "step,loss\n20,1\n10,2\n")

    assert [point.step for point in read_recorded_log(path)] == [10, 20]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,5.0\n2,five\n", r"log\.csv:3: loss is 'five', not a number"),
        ("1,5.0\n\n\n2,five\n", r"log\.csv:5: loss is 'five'"),
        ("1,5.0\n,4.0\n", r"log\.csv:3: the step is missing or not whole"),
        ("1.5,5.0\n", r"log\.csv:2: the step is missing or not whole"),
        ("nan,5.0\n", r"log\.csv:2: the step is missing or not whole"),
        ("inf,5.0\n", r"log\.csv:2: the step is missing or not whole"),
    ],
)
def test_a_wrong_number_is_refused_with_its_line(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_recorded_log(log(tmp_path, "step,loss\n" + rows))


def test_tokens_are_whole(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"log\.csv:2: tokens is nan, not a whole number"):
        read_recorded_log(log(tmp_path, "step,tokens,loss\n1,nan,2\n"))


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("epoch,loss\n1,2\n", "it has epoch, loss"),
        ("step,lr\n1,2\n", "it has step, lr"),
        ("", "it has no rows"),
        ("step,loss\n", "it has no rows"),
    ],
)
def test_a_log_without_the_columns_says_which_it_has(tmp_path: Path, text: str, has: str) -> None:
    with pytest.raises(DataError, match=has):
        read_recorded_log(log(tmp_path, text))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"step,loss\n1,\xff\xfe\n")

    with pytest.raises(DataError, match="cannot be read as CSV"):
        read_recorded_log(path)
    with pytest.raises(DataError, match="cannot be read as CSV"):
        read_recorded_log(tmp_path / "missing.csv")
