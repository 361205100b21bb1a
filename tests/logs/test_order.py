"""Rows that repeat, go back, come out of order, or belong to several runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import LogError
from sweeper.logs import Log, LogOptions, read_log


def read(folder: Path, text: str, **options: str) -> Log:
    path = folder / "run.csv"
    path.write_text(text)
    return read_log(path, LogOptions(**options))  # type: ignore[arg-type]


def table(*rows: tuple[object, ...], header: str = "step,loss") -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def losses(log: Log) -> list[tuple[int, float | None]]:
    return [(point.step, point.train_loss) for point in log.curve]


def test_a_resumed_run_goes_on_from_where_it_took_up(tmp_path: Path) -> None:
    first = [(0, 9), (10, 7), (20, 6), (30, 5), (40, 4.5)]
    again = [(20, 5.9), (30, 5.1), (40, 4.4), (50, 4)]

    log = read(tmp_path, table(*first, *again))

    assert losses(log) == [(0, 9), (10, 7), (20, 5.9), (30, 5.1), (40, 4.4), (50, 4)]
    assert log.restart_steps == (20,)
    assert log.runs == ()
    (note,) = log.notes
    assert "line 7: the step goes back from 40 to 20: a resumed run" in note


def test_what_a_restart_made_void_is_left_out(tmp_path: Path) -> None:
    first = [(0, 9), (10, 7), (20, 6), (30, 5), (40, 4.5)]

    log = read(tmp_path, table(*first, (20, 5.9), (30, 5.1)))

    assert losses(log) == [(0, 9), (10, 7), (20, 5.9), (30, 5.1)]


def test_an_evaluation_at_the_checkpoint_outlives_a_restart(tmp_path: Path) -> None:
    rows = [(0, 9, 9), (10, 7, 7), (20, 6, 6.5), (30, 5, ""), (20, 5.9, ""), (30, 5.1, "")]

    log = read(tmp_path, table(*rows, header="step,loss,val_loss"))

    assert [(p.step, p.train_loss, p.val_loss) for p in log.curve] == [
        (0, 9.0, 9.0),
        (10, 7.0, 7.0),
        (20, 5.9, 6.5),
        (30, 5.1, None),
    ]
    assert len(log.notes) == 1


def test_a_run_may_be_resumed_twice(tmp_path: Path) -> None:
    rows = [(s, 9 - s / 10) for s in (0, 10, 20, 30, 20, 30, 40, 30, 40, 50)]

    log = read(tmp_path, table(*rows))

    assert [step for step, _ in losses(log)] == [0, 10, 20, 30, 40, 50]
    assert log.restart_steps == (20, 30)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([50, 40, 30, 20, 10, 0], id="backwards"),
        pytest.param([0, 10, 30, 20, 40, 50], id="two swapped"),
        pytest.param([30, 40, 50, 0, 10, 20], id="halves swapped"),
        pytest.param([20, 50, 0, 40, 10, 30], id="shuffled"),
    ],
)
def test_rows_out_of_order_are_sorted(tmp_path: Path, steps: list[int]) -> None:
    log = read(tmp_path, table(*((step, 9 - step / 10) for step in steps)))

    assert losses(log) == [(step, 9 - step / 10) for step in range(0, 60, 10)]
    assert log.restart_steps == ()
    (note,) = log.notes
    assert "out of order (first at line" in note


def test_two_runs_in_one_file_are_told_apart(tmp_path: Path) -> None:
    one = [(s, 9 - s / 10) for s in range(0, 50, 10)]
    two = [(s, 8.9 - s / 20) for s in range(0, 30, 10)]

    log = read(tmp_path, table(*one, *two))

    assert losses(log) == [(0, 8.9), (10, 8.4), (20, 7.9)]
    assert (log.runs, log.run, log.restart_steps) == (("1", "2"), "2", ())
    (note,) = log.notes
    assert "2 runs in one file (they begin at lines 2, 7): number 2 was read; --run 1" in note
    assert losses(read(tmp_path, table(*one, *two), run="1")) == one
    with pytest.raises(LogError, match=r"--run 3: there is no such run \(allowed: 1 to 2"):
        read(tmp_path, table(*one, *two), run="3")


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"--run best: there is no such run \(allowed: 1: there is"):
        read(tmp_path, table((0, 9), (10, 8)), run="best")


def test_a_run_that_goes_back_to_its_start_with_its_loss_down_was_resumed(tmp_path: Path) -> None:
    rows = [(0, 9), (10, 7), (20, 5), (30, 4), (0, 4.1), (10, 3.9), (20, 3.8), (30, 3.7), (40, 3)]

    log = read(tmp_path, table(*rows))

    assert log.runs == ()
    assert log.restart_steps == (0,)


@pytest.mark.parametrize("column", ["run", "run_id", "Run Name", "experiment"])
def test_a_column_may_name_the_run(tmp_path: Path, column: str) -> None:
    text = table(
        ("old", 0, 9), ("new", 0, 8), ("old", 10, 7), ("new", 10, 6), header=f"{column},step,loss"
    )

    log = read(tmp_path, text)

    assert losses(log) == [(0, 8), (10, 6)]
    assert (log.runs, log.run) == (("old", "new"), "new")
    assert "new was read, old left out; --run NAME" in log.notes[0]
    assert losses(read(tmp_path, text, run="old")) == [(0, 9), (10, 7)]
    assert losses(read(tmp_path, text, run="1")) == [(0, 9), (10, 7)]
    with pytest.raises(LogError, match=r"--run best: .*\(allowed: old, new, or 1 to 2\)"):
        read(tmp_path, text, run="best")


def test_panels_of_several_runs_are_told_apart(tmp_path: Path) -> None:
    header = '"Step","a-1 - train/loss","a-1 - train/loss__MIN","b-2 - train/loss"'
    text = table((0, 9, 1, 8), (10, 7, 1, ""), (20, "", "", 6), header=header)

    assert losses(read(tmp_path, text)) == [(0, 8), (20, 6)]
    assert losses(read(tmp_path, text, run="a-1")) == [(0, 9), (10, 7)]


def test_long_tables_hold_a_row_for_each_metric(tmp_path: Path) -> None:
    rows = [
        ("a", "loss", 9, 0),
        ("a", "loss", 8, 10),
        ("b", "loss", 7, 0),
        ("b", "lr", 0.5, 0),
        ("a", "val_loss", 8.5, 10),
    ]
    text = table(*rows, header="run_id,key,value,step")

    log = read(tmp_path, text, run="a")

    assert [(p.step, p.train_loss, p.val_loss) for p in log.curve] == [(0, 9, None), (10, 8, 8.5)]
    assert read(tmp_path, text).curve.points[0].learning_rate == 0.5


def test_rows_of_one_step_are_one_point(tmp_path: Path) -> None:
    rows = [(0, 9, ""), (0, "", 9.5), (10, 8, ""), (10, 8, ""), (10, "", 8.5)]

    log = read(tmp_path, table(*rows, header="step,loss,val_loss"))

    assert [(p.step, p.train_loss, p.val_loss) for p in log.curve] == [(0, 9, 9.5), (10, 8, 8.5)]
    assert log.notes == ()


def test_of_rows_that_contradict_each_other_the_later_counts(tmp_path: Path) -> None:
    log = read(tmp_path, table((0, 9), (10, 8), (10, 7), (20, "nan"), (20, "nan")))

    assert losses(log)[:2] == [(0, 9), (10, 7)]
    (note,) = log.notes
    assert "twice with another train loss (line 4): the later row counts" in note


def test_steps_that_count_anew_in_each_epoch_count_on(tmp_path: Path) -> None:
    rows = [(1, 10, 9), (1, 20, 8), (2, 10, 7), (2, 20, 6), (3, 10, 5)]

    log = read(tmp_path, table(*rows, header="epoch,step,loss"))

    assert losses(log) == [(10, 9), (20, 8), (30, 7), (40, 6), (50, 5)]
    assert log.notes == ("the steps count anew in each epoch: they were counted on",)


def test_an_epoch_of_one_row_counts_on(tmp_path: Path) -> None:
    log = read(tmp_path, table((1, 100, 9), (2, 100, 8), (3, 100, 7), header="epoch,step,loss"))

    assert losses(log) == [(100, 9), (200, 8), (300, 7)]


def test_an_epoch_that_ends_between_two_rows_of_a_step_ends_no_run(tmp_path: Path) -> None:
    rows = [(1, 10, 9), (1, 20, 8), (2, 20, 7.5), (2, 30, 7)]

    log = read(tmp_path, table(*rows, header="epoch,step,loss"))

    assert [step for step, _ in losses(log)] == [10, 20, 30]


def test_an_epoch_may_stand_in_some_rows_only(tmp_path: Path) -> None:
    rows = [(1, 10, 9, ""), (1, 20, 8, ""), ("", 20, "", 8.5), (2, 10, 7, ""), (2, 20, 6, "")]

    log = read(tmp_path, table(*rows, header="epoch,step,loss,val_loss"))

    assert [step for step, _ in losses(log)] == [10, 20, 30, 40]


def test_micro_batches_do_not_stand_in_for_steps(tmp_path: Path) -> None:
    rows = [(4, 1, 9, ""), (8, 2, 8, ""), (8, "", "", 8.5), (12, 3, 7, "")]

    log = read(tmp_path, table(*rows, header="iter,step,loss,val_loss"))

    assert [(p.step, p.val_loss) for p in log.curve] == [(1, None), (2, 8.5), (3, None)]


def test_a_second_column_of_the_same_steps_fills_up_the_first(tmp_path: Path) -> None:
    rows = [(1, 1, 9, ""), ("", 2, "", 8.5), (3, 3, 7, "")]

    log = read(tmp_path, table(*rows, header="step,global_step,loss,val_loss"))

    assert [p.step for p in log.curve] == [1, 2, 3]


def test_without_a_step_rows_are_counted(tmp_path: Path) -> None:
    log = read(tmp_path, table((0.5, 9), (1.0, 8), header="epoch,loss"))

    assert losses(log) == [(1, 9), (2, 8)]
    assert log.curve.points[1].epoch == 1.0
    assert "rows were counted from 1 (--column step=NAME" in log.notes[0]


def test_rows_without_a_step_are_left_out_and_named(tmp_path: Path) -> None:
    log = read(tmp_path, table((0, 9), ("", 8), (10, 7)))

    assert losses(log) == [(0, 9), (10, 7)]
    assert log.notes == ("rows without a step were left out (line 3)",)


def test_a_cut_off_last_line_is_left_out(tmp_path: Path) -> None:
    log = read(tmp_path, "step,loss,val_loss\n0,9,9\n10,8,8\n20,7")

    assert losses(log) == [(0, 9), (10, 8)]
    assert log.notes == ("line 4: cut off while being written, left out",)
    path = tmp_path / "run.jsonl"
    path.write_text('{"step": 0, "loss": 9}\n{"step": 10, "lo')
    assert losses(read_log(path)) == [(0, 9)]
    assert read_log(path).notes == ("line 2: cut off while being written, left out",)


def test_a_number_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    log = read(tmp_path, "step,lr\n".replace("lr", "loss") + "0,9\n10,8e0\n20,7e-")

    assert losses(log) == [(0, 9), (10, 8)]
    assert log.notes == ("line 4: cut off while being written, left out",)


def test_an_evaluation_that_was_written_late_is_no_restart(tmp_path: Path) -> None:
    rows = [(0, 9, ""), (10, 8, ""), (20, 7, ""), (10, "", 8.5), (30, 6, "")]

    log = read(tmp_path, table(*rows, header="step,loss,val_loss"))

    assert losses(log) == [(0, 9), (10, 8), (20, 7), (30, 6)]
    assert log.curve.points[1].val_loss == 8.5
    assert (log.notes, log.restart_steps) == ((), ())


def test_a_header_that_stands_there_again_is_passed_over(tmp_path: Path) -> None:
    log = read(tmp_path, "step,loss\n0,9\n10,8\nstep,loss\n20,7\n")

    assert losses(log) == [(0, 9), (10, 8), (20, 7)]
    assert log.notes == ("line 4: the header again, passed over",)


def test_rows_that_say_nothing_are_no_points(tmp_path: Path) -> None:
    log = read(tmp_path, table((0, 9, "x"), (5, "", "y"), (10, 8, "z"), header="step,loss,note"))

    assert losses(log) == [(0, 9), (10, 8)]
