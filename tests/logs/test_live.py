"""A log that is still being written."""

from __future__ import annotations

import pytest

from sweeper.errors import LogError
from sweeper.logs import LiveReader, LogOptions


def test_a_live_reader_reads_json_alone_where_that_is_asked_for() -> None:
    reader = LiveReader(LogOptions(format="jsonl"))

    points = reader.feed('step 1 loss 5\n {"step": 2, "loss": 4}\n')

    assert [(p.step, p.train_loss) for p in points + reader.close()] == [(2, 4.0)]


def test_epochs_of_one_line_count_on_live() -> None:
    lines = "".join(f"Epoch {n}/3\n90/90 - 3s - loss: {9 - n} - 30ms/step\n" for n in (1, 2, 3))

    assert [p.step for p in LiveReader().feed(lines)] == [90, 180, 270]


def test_a_live_reader_refuses_wrong_flags() -> None:
    with pytest.raises(LogError, match="--pattern: not a regular expression"):
        LiveReader(LogOptions(pattern="("))
    with pytest.raises(LogError, match="--column speed: no such role"):
        LiveReader(LogOptions(columns={"speed": "x"}))


def test_a_live_reader_follows_flags() -> None:
    reader = LiveReader(LogOptions(columns={"train_loss": "objective"}))
    pattern = LiveReader(LogOptions(pattern=r"@(?P<step>\d+) (?P<val_loss>\S+)"))

    assert [p.train_loss for p in reader.feed('{"step": 1, "objective": 5, "loss": 9}\n')] == [5.0]
    assert [(p.step, p.val_loss) for p in pattern.feed("@3 2.5\n@4 x\n")] == [(3, 2.5)]


def test_a_line_counts_when_it_is_whole() -> None:
    reader = LiveReader()

    assert reader.feed("step 1 loss 2.") == []
    assert [p.train_loss for p in reader.feed("5\nstep 2 loss 2.25")] == [2.5]
    assert [p.train_loss for p in reader.close()] == [2.25]
    assert reader.close() == []


def test_a_live_reader_times_steps() -> None:
    reader = LiveReader()

    points = reader.feed(
        "step 10 loss 5 elapsed 2s\nstep 20 loss 5 elapsed 7s\nstep 30 loss 5 step_time 900ms\n"
        "step 40 loss 5 it/s: 4\nstep 50 loss 5 dt 250\nstep 60 loss 5 step_avg 0.5s\n"
        "step 80 loss 5 step_avg 0.75s\n"
    )

    assert [p.seconds for p in points] == [2.0, 7.0, None, None, None, None, None]
    assert [p.step_seconds for p in points] == [None, 0.5, 0.9, 0.25, 0.25, 0.575, 1.5]
    assert {p.train_loss for p in points} == {5.0}


@pytest.mark.parametrize(
    ("options", "line", "seconds", "step_seconds"),
    [
        (LogOptions(), "elapsed 45", [1.0, 45.0], [None, 4.4]),
        (LogOptions(), "time 45", [None, None], [None, None]),
        (LogOptions(), "time 45ms", [None, None], [0.001, 0.045]),
        (LogOptions(time="cumulative"), "time 45", [1.0, 45.0], [None, 4.4]),
        (LogOptions(time="per-step"), "time 20", [None, None], [1.0, 20.0]),
        (LogOptions(units={"step_seconds": "ms"}), "step_time 20", [None, None], [0.001, 0.02]),
        (LogOptions(), "it/s 0", [None, None], [1.0, None]),
        (LogOptions(), "step_time inf", [None, None], [1.0, None]),
    ],
)
def test_a_live_reader_reads_times_as_far_as_one_line_can_tell(
    options: LogOptions,
    line: str,
    seconds: list[float | None],
    step_seconds: list[float | None],
) -> None:
    name, value = line.split(" ")
    first = f"{name} 1{'ms' if value.endswith('ms') else ''}"

    points = LiveReader(options).feed(f"step 10 loss 5 {first}\nstep 20 loss 4 {line}\n")

    assert [p.seconds for p in points] == seconds
    assert [p.step_seconds for p in points] == step_seconds


def test_a_live_reader_takes_a_named_column_or_none() -> None:
    reader = LiveReader(LogOptions(columns={"train_loss": "objective"}, units={"val_loss": "bits"}))

    points = reader.feed("step 1 loss 5\nstep 2 objective 4 loss 6\nstep 3 val_loss 2\n")

    assert [(p.step, p.train_loss) for p in points] == [(2, 4.0), (3, None)]
    assert points[1].val_loss == pytest.approx(1.3863, abs=1e-4)
