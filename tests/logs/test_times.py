"""Times: units by name, suffix or size; per step, cumulative, or a running mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import LogError
from sweeper.logs import ColumnUse, Log, LogOptions, read_log

STEPS = (0, 10, 20, 40, 50)


def read(folder: Path, name: str, cells: tuple[object, ...], **options: object) -> Log:
    path = folder / "run.csv"
    rows = (f"{step},5,{cell},{step * 64}\n" for step, cell in zip(STEPS, cells, strict=True))
    path.write_text(f"step,loss,{name},tokens\n" + "".join(rows))
    return read_log(path, LogOptions(**options))  # type: ignore[arg-type]


def use(log: Log, name: str) -> ColumnUse:
    return next(column for column in log.columns if column.name == name)


def step_seconds(log: Log) -> list[float | None]:
    return [None if p.step_seconds is None else round(p.step_seconds, 9) for p in log.curve.points]


@pytest.mark.parametrize(
    ("name", "cells", "unit", "reading"),
    [
        ("steps_per_sec", ("", 2, 2, 0.5, 4), "steps/s", "per step"),
        ("it/s", ("", 2, 2, 0.5, 4), "steps/s", "per step"),
        ("s/it", ("", 0.5, 0.5, 2, 0.25), "s", "per step"),
        ("step_time_s", ("", 0.5, 0.5, 2, 0.25), "s", "per step"),
        ("step_time_ms", ("", 500, 500, 2000, 250), "ms", "per step"),
        ("Step Time (ms)", ("", 500, 500, 2000, 250), "ms", "per step"),
        ("step_time", ("", 500, 500, 2000, 250), "ms", "per step"),
        ("step_time", ("", 0.5, 0.5, 2, 0.25), "s", "per step"),
        ("dt", ("", 500, 500, 2000, 250), "ms", "per step"),
        ("time", ("", 0.5, 0.5, 2, 0.25), "s", "per step"),
        ("tokens_per_sec", ("", 128, 128, 32, 256), "tokens/s", "per step"),
        ("elapsed", (3, 8, 13, 53, 55.5), "s", "cumulative"),
        ("elapsed_time", ("0:03", "0:08", "0:00:13", "0:00:53", "0:00:55.5"), "s", "cumulative"),
        ("time", (3, 8, 13, 53, 55.5), "s", "cumulative"),
        ("elapsed_ms", (0, 5000, 10_000, 50_000, 52_500), "ms", "cumulative"),
        ("train_time", (0, 5000, 10_000, 50_000, 52_500), "ms", "cumulative"),
        ("step_avg", (0, 0.5, 0.5, 1.25, 1.05), "s", "running mean"),
        ("_timestamp", (1.7e9, 1.7e9 + 5, 1.7e9 + 10, 1.7e9 + 50, 1.7e9 + 52.5), "clock", ""),
        ("timestamp", tuple(1.7e12 + ms for ms in (0, 5e3, 1e4, 5e4, 52_500)), "clock", ""),
    ],
)
def test_one_course_of_times_in_every_form(
    tmp_path: Path, name: str, cells: tuple[object, ...], unit: str, reading: str
) -> None:
    log = read(tmp_path, name, cells)

    assert step_seconds(log) == [None, 0.5, 0.5, 2.0, 0.25]
    column = use(log, name)
    assert (column.unit, column.reading) == (unit, reading or "cumulative")
    is_total = column.reading == "cumulative"
    assert column.role == ("seconds" if is_total else "step_seconds")
    assert [p.seconds is not None for p in log.curve] == [is_total] * len(STEPS)


def test_dates_are_clock_times(tmp_path: Path) -> None:
    dates = [f"2026-01-31T12:00:{second:02}Z" for second in (0, 5, 10, 50, 52)]

    log = read(tmp_path, "timestamp", tuple(dates))

    assert [point.seconds for point in log.curve] == [0, 5, 10, 50, 52]


def test_a_time_may_be_a_date_or_seconds_since_1970(tmp_path: Path) -> None:
    dates = tuple(f"2026-01-31 12:00:{second:02}" for second in (0, 5, 10, 50, 52))
    clock = tuple(1.7e9 + second for second in (0, 5, 10, 50, 52))

    for name, cells in (("time", dates), ("Wall time", clock)):
        log = read(tmp_path, name, cells)
        assert [point.seconds for point in log.curve] == [0, 5, 10, 50, 52]
        assert (use(log, name).unit, use(log, name).role) == ("clock", "seconds")


def test_the_time_of_a_bar_for_each_epoch_counts_on(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    bar = "Epoch {}: 50%|# | {}/20 [00:{:02}<00:10, 2.0it/s, loss=5.{}]\r"
    bars = (bar.format(epoch, n, n // 2, n) for epoch in (0, 1, 2) for n in (10, 20))
    path.write_text("".join(bars))

    points = read_log(path).curve.points

    assert [point.seconds for point in points] == [5, 10, 15, 20, 25, 30]


def test_times_that_are_none_are_not_used_unless_a_flag_says_so(tmp_path: Path) -> None:
    clock, step = ("noon",) * 5, ("fast",) * 5

    assert use(read(tmp_path, "timestamp", clock), "timestamp").basis == "not all of it are times"
    assert use(read(tmp_path, "step_time", step), "step_time").role == ""
    with pytest.raises(LogError, match=r"run\.csv:2: step_time is 'fast', not a number"):
        read(tmp_path, "step_time", step, columns={"step_seconds": "step_time"})
    with pytest.raises(LogError, match="neither seconds nor a date"):
        read(tmp_path, "timestamp", clock, columns={"seconds": "timestamp"})


def test_a_time_that_grows_a_little_is_no_total(tmp_path: Path) -> None:
    log = read(tmp_path, "time", (0.5, 0.51, 0.52, 0.53, 0.54))

    assert step_seconds(log) == [0.5, 0.51, 0.52, 0.53, 0.54]
    assert use(log, "time").reading == "per step"


def test_flags_beat_guesses(tmp_path: Path) -> None:
    slow = read(tmp_path, "step_time", (40, 40, 50, 60, 40), units={"step_seconds": "s"})
    total = read(tmp_path, "time", (0, 5, 5, 5, 5), time="cumulative")
    each = read(tmp_path, "time", (0.5, 5, 10, 50, 52), time="per-step")

    assert step_seconds(slow) == [40, 40, 50, 60, 40]
    assert "unit by flag" in use(slow, "step_time").basis
    assert step_seconds(total) == [None, 0.5, None, None, None]
    assert step_seconds(each) == [0.5, 5, 10, 50, 52]
    assert "reading by flag" in use(each, "time").basis


def test_a_clock_set_anew_gives_no_step_time(tmp_path: Path) -> None:
    log = read(tmp_path, "elapsed", (0, 5, 10, 2, 4.5))

    assert step_seconds(log) == [None, 0.5, 0.5, None, 0.25]


def test_a_speed_measured_beats_one_derived(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("step,loss,elapsed,it/s\n0,5,0,\n10,5,9,2\n")

    log = read_log(path)

    assert [(p.seconds, p.step_seconds) for p in log.curve] == [(0.0, None), (9.0, 0.5)]


def test_rates_without_their_unit_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("step,loss,tokens_per_sec,samples_per_second\n0,5,9,2\n10,5,9,2\n")

    log = read_log(path)

    assert step_seconds(log) == [None, None]
    assert use(log, "tokens_per_sec").basis == "how many tokens a step has is unknown"
    assert use(log, "samples_per_second").basis == "how many samples a step has is unknown"


def test_a_restart_is_not_a_slow_step(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    rows = [
        (0, 9, 0),
        (10, 7, 5),
        (20, 6, 10),
        (30, 5, 15),
        (20, 5.9, 99),
        (30, 5, 104),
        (40, 4, 109),
    ]
    path.write_text("step,loss,elapsed\n" + "".join(f"{s},{x},{t}\n" for s, x, t in rows))

    assert step_seconds(read_log(path)) == [None, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("iter 1: loss 5.0, time 512.50ms, mfu 30.0%", 0.5125),
        ("step 1 | loss 5.0 | dt: 512.5ms | tok/sec: 1,024", 0.5125),
        ("step 1/9 | loss 5.0 (+nanz)| norm 1.5 (+nanz)| lr 8e-07 | 512.50 ms | 99 tok/s", 0.5125),
        ("step 1 loss 5.0 step_time 2s", 2.0),
        ("Iter 1: Train loss 5.0, It/sec 0.500, Tokens/sec 120", 2.0),
        ("step 1 loss 5.0 speed: 4.0it/s", 0.25),
        (" 10%|# | 1/10 [00:12<01:52,  4.00s/it, loss=5.0]", 4.0),
        ("{'step': 1, 'loss': 5.0, 'steps_per_second': 4}", 0.25),
    ],
)
def test_times_in_lines_carry_their_unit(tmp_path: Path, line: str, seconds: float) -> None:
    path = tmp_path / "run.log"
    path.write_text(f"starting\n{line}\n")

    (point,) = read_log(path).curve

    assert point.train_loss == 5.0
    assert point.step_seconds == pytest.approx(seconds)
