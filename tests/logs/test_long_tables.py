"""Exports with a row for each metric and step, or of one metric alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.logs import Log, LogOptions, read_log


def read(folder: Path, name: str, text: str, options: LogOptions | None = None) -> Log:
    path = folder / name
    path.write_text(text)
    return read_log(path, options or LogOptions())


@pytest.mark.parametrize(
    "header",
    ["key,value,step", "metric,value,step", "tag,value,step", "metricName,metricValue,step"],
)
def test_a_row_for_each_metric(tmp_path: Path, header: str) -> None:
    log = read(tmp_path, "run.csv", f"{header}\nloss,5,1\nloss,4,2\nval_loss,4.5,2\n")

    assert [(p.step, p.train_loss, p.val_loss) for p in log.curve] == [(1, 5, None), (2, 4, 4.5)]


SCALARS = "Wall time,Step,Value\n1700000000.5,10,5\n1700000010.5,20,4\n"


@pytest.mark.parametrize(
    ("name", "train", "val", "why"),
    [
        ("run-a-tag-train_loss.csv", [5, 4], [None, None], "by the file's name"),
        ("run-a-tag-Loss_eval.csv", [None, None], [5, 4], "by the file's name"),
        ("validation wiki loss.csv", [None, None], [5, 4], "by the file's name"),
        ("download.csv", [5, 4], [None, None], "for want of a name"),
    ],
)
def test_one_metric_alone_is_named_by_its_file(
    tmp_path: Path, name: str, train: list[float], val: list[float], why: str
) -> None:
    log = read(tmp_path, name, SCALARS)

    assert [p.train_loss for p in log.curve] == train
    assert [p.val_loss for p in log.curve] == val
    assert [(p.seconds, p.step_seconds) for p in log.curve] == [(0, None), (10, 1)]
    assert why in log.notes[0]
    assert "--column val_loss=Value" in log.notes[0]


def test_a_flag_names_the_one_metric(tmp_path: Path) -> None:
    options = LogOptions(columns={"val_loss": "value"})

    log = read(tmp_path, "run-a-tag-train_loss.csv", SCALARS, options)

    assert [(p.train_loss, p.val_loss) for p in log.curve] == [(None, 5), (None, 4)]
    assert log.notes == ()


def test_a_value_beside_a_loss_is_another_thing(tmp_path: Path) -> None:
    log = read(tmp_path, "run.csv", "step,loss,value\n1,5,9\n2,4,9\n")

    assert [p.train_loss for p in log.curve] == [5, 4]
    assert log.notes == ()


def test_scalars_as_json(tmp_path: Path) -> None:
    log = read(tmp_path, "eval_loss.json", "[[1700000000.5, 10, 5.0], [1700000010.5, 20, 4.0]]")

    assert [(p.step, p.val_loss, p.seconds) for p in log.curve] == [(10, 5, 0), (20, 4, 10)]
    assert log.format == "TensorBoard JSON"
