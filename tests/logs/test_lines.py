"""Lines of text: which say something of the run, and what."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.curves import Point
from sweeper.errors import LogError
from sweeper.logs import LiveReader, Log, LogOptions, read_log


def read(folder: Path, text: str) -> Log:
    path = folder / "run.log"
    path.write_text(text)
    return read_log(path)


CHATTER = (
    "",
    "Loading model gpt2 from cache",
    "number of parameters: 10.65M",
    "tokens per iteration will be: 491,520",
    "saving checkpoint to out/step_500",
    "Saved checkpoint at step 500",
    "best val loss 2.5",
    "loss function: cross entropy",
    "Traceback (most recent call last):",
    '  File "train.py", line 20, in <module>',
    "Map: 100%|####| 1000/1000 [00:01<00:00, 900.0 examples/s]",
    "  0%|          | 0/100 [00:00<?, ?it/s]",
    "{'unrelated': 'dict'}",
    '{"event": "saved", "path": "x"}',
    '{"broken": ',
    "GPU 0: 50%, 12.5 GB, 300 W",
    "[1/3] installing",
    "Epoch 1",
    "=" * 80,
    "A" * 30_000,
    "A" * 9000,
    "a b " * 4000,
    "1 " * 5000,
    "- " * 5000,
    "step " + "9" * 5000,
    "step " + "9" * 5000 + " loss 2.5",
    "{ nan } inf [ 3 / 4 ] : = ,",
)


@pytest.mark.parametrize("line", CHATTER)
def test_chatter_says_nothing(line: str) -> None:
    reader = LiveReader()

    assert reader.feed(f"{line}\n") + reader.close() == []


@pytest.mark.parametrize("line", CHATTER)
def test_chatter_amid_a_log_changes_nothing(tmp_path: Path, line: str) -> None:
    log = read(tmp_path, f"{line}\nstep 1: loss 5.0\n{line}\nstep 2: loss 4.0\n{line}\n")

    assert [(point.step, point.train_loss) for point in log.curve] == [(1, 5.0), (2, 4.0)]


@pytest.mark.parametrize(
    ("line", "point"),
    [
        ("step 7 loss 2.5 lr 1e-4", Point(7, 0, train_loss=2.5, learning_rate=1e-4)),
        ("Step: 7, Loss: 2.5, LR: 0.0001", Point(7, 0, train_loss=2.5, learning_rate=1e-4)),
        ("[7/100] loss=2.5", Point(7, 0, train_loss=2.5)),
        ("Step [7/100], Loss: 2.5", Point(7, 0, train_loss=2.5)),
        ("Epoch 2 | step 7/100 | train_loss: 2.5", Point(7, 0, train_loss=2.5, epoch=2.0)),
        ("2026-01-31 12:00:00,123 INFO trainer step 7 loss 2.5", Point(7, 0, train_loss=2.5)),
        ("[2026-01-31 12:00:00] [INFO] step=7 loss=2.5", Point(7, 0, train_loss=2.5)),
        ("12:00:00 | WARNING | global_step=7 loss=2.5", Point(7, 0, train_loss=2.5)),
        ("iter 7: loss nan, time 1ms", Point(7, 0, train_loss=float("inf"))),
        ("step 7 | loss tensor(2.5, device='cuda:0')", Point(7, 0, train_loss=2.5)),
        ("step 1,007: loss 2.5", Point(1007, 0, train_loss=2.5)),
        ("step 7: train loss 2.5, val loss 2.75", Point(7, 0, train_loss=2.5, val_loss=2.75)),
        ("step:7/100 val_loss:2.75 train_time:12ms", Point(7, 0, val_loss=2.75)),
        ("step 7 loss -0.5 grad norm 1.5", Point(7, 0, train_loss=-0.5, grad_norm=1.5)),
        ("7/100 [====>....] - ETA: 12s - loss: 2.5", Point(7, 0, train_loss=2.5)),
        ('{"step": 7, "train": {"loss": 2.5}}', Point(7, 0, train_loss=2.5)),
        ("INFO metrics {'step': 7, 'loss': 2.5}", Point(7, 0, train_loss=2.5)),
        ("step 7 loss 2.5 tokens 12,800", Point(7, 12_800, train_loss=2.5)),
        ("step 7 loss 2.5 tokens 12.5k", Point(7, 12_500, train_loss=2.5)),
        ("step 7 loss 2.5 ppl 12.2 acc 0.5", Point(7, 0, train_loss=2.5)),
    ],
)
def test_lines_of_many_makes(line: str, point: Point) -> None:
    reader = LiveReader()

    (found,) = reader.feed(line + "\n")

    names = ("step", "tokens", "val_loss", "learning_rate", "grad_norm", "epoch")
    assert [getattr(found, n) for n in names] == [getattr(point, n) for n in names]
    if "nan" in line:
        assert str(found.train_loss) == "nan"
    else:
        assert found.train_loss == point.train_loss


def test_an_evaluation_without_a_step_belongs_to_the_last(tmp_path: Path) -> None:
    log = read(tmp_path, "step 10 loss 5.0\nvalidation loss: 5.5\nstep 20 loss 4.0\n")

    assert [point.val_loss for point in log.curve] == [5.5, None]


def test_an_evaluation_before_the_first_step_is_the_start(tmp_path: Path) -> None:
    text = "val loss 9.5\nstep 1/9 | loss 9.0\nval loss 8.5\n"

    points = [(p.step, p.train_loss, p.val_loss) for p in read(tmp_path, text).curve]

    assert points == [(0, None, 9.5), (1, 9.0, 8.5)]
    assert [p.step for p in LiveReader().feed(text)] == [0, 1, 1]


@pytest.mark.parametrize(
    "line", ["n 7 Objective 2.5", "n=7 | objective: 2.5 loss 9", '{"n": 7, "objective": 2.5}']
)
def test_flags_name_what_no_name_tells(tmp_path: Path, line: str) -> None:
    options = LogOptions(columns={"step": "n", "train_loss": "objective"})
    path = tmp_path / "run.log"
    path.write_text(f"hello\n{line}\n{line.replace('7', '8')}\n")

    points = list(read_log(path, options).curve)
    live = LiveReader(options).feed(path.read_text())

    assert [(p.step, p.train_loss) for p in points] == [(7, 2.5), (8, 2.5)]
    assert [(p.step, p.train_loss) for p in live] == [(7, 2.5), (8, 2.5)]


def test_the_mean_of_many_steps_gives_way_to_the_step_itself(tmp_path: Path) -> None:
    text = "step 0: train loss 9.0, val loss 9.5\niter 0: loss 8.75\niter 10: loss 8.0\n"

    log = read(tmp_path, text)

    assert [(p.step, p.train_loss, p.val_loss) for p in log.curve] == [
        (0, 8.75, 9.5),
        (10, 8.0, None),
    ]
    assert log.format == "nanoGPT text"


DICTS = (
    "{'loss': 5.0, 'epoch': 0.5}\n{'loss': 4.0, 'epoch': 1.0}\n{'eval_loss': 4.5, 'epoch': 1.0}\n"
)


@pytest.mark.parametrize(
    ("before", "steps", "how"),
    [
        ("", [1, 2], "2 by counting them from 1"),
        (
            "TrainingArguments(logging_steps=50, seed=1)\n",
            [50, 100],
            "multiplying with logging_ste",
        ),
        ("  Num Epochs = 2\n  Total optimization steps = 400\n", [100, 200], "from the epoch"),
    ],
)
def test_printed_dicts_name_no_step(
    tmp_path: Path, before: str, steps: list[int], how: str
) -> None:
    log = read(tmp_path, before + DICTS)

    assert [point.step for point in log.curve] == steps
    assert [point.val_loss for point in log.curve] == [None, 4.5]
    (note,) = log.notes
    assert "the lines name no step" in note
    assert how in note


def test_bars_of_evaluations_are_not_the_runs_own(tmp_path: Path) -> None:
    bare = "{}%|#  | {}/{} [00:02<?, ?it/s]\r"
    text = (
        bare.format(10, 30, 300)
        + "{'loss': 5.0}\n"
        + bare.format(50, 99, 100)
        + "{'loss': 4.0}\n"
        + bare.format(20, 60, 300)
        + "{'loss': 3.0}\n"
    )

    assert [p.step for p in read(tmp_path, text).curve] == [30, 31, 60]


def test_a_progress_bar_lends_its_step_to_dicts(tmp_path: Path) -> None:
    text = (
        "  0%|   | 0/90 [00:00<?, ?it/s]\r 11%|#  | 10/90 [00:02<00:18, 4.0it/s]"
        "{'loss': 5.0, 'epoch': 0.1}\n"
        " 22%|## | 20/90 [00:04<00:16, 4.0it/s]\r{'loss': 4.0, 'epoch': 0.2}\n"
        " 50%|## | 1/2 [00:04<00:16, 4.0it/s]\r{'eval_loss': 4.5, 'epoch': 0.2}\n"
    )

    log = read(tmp_path, text)

    assert [(p.step, p.train_loss, p.val_loss) for p in log.curve] == [
        (10, 5.0, None),
        (20, 4.0, 4.5),
    ]
    assert "from the progress bar" in log.notes[0]


def test_the_metrics_that_a_trainer_lists_at_its_end_are_no_points(tmp_path: Path) -> None:
    summary = "***** train metrics *****\n  epoch  =  1.0\n  train_loss  =  4.5\n"

    log = read(tmp_path, DICTS + summary)

    assert [p.train_loss for p in log.curve] == [5.0, 4.0]
    assert "2 by counting them from 1" in log.notes[0]
    assert [p.train_loss for p in LiveReader().feed(DICTS + summary)] == [5.0, 4.0, None]


def test_an_epoch_counted_from_0_has_ended_where_the_bar_stands(tmp_path: Path) -> None:
    header = "Num Epochs = 2\nTotal optimization steps = 200\n"
    bars = [
        f"{n}/200 [00:09<00:10, 9.0it/s]\nepoch {e}: eval_loss: 5\n"
        for e, n in ((0, 100), (1, 200))
    ]

    assert [p.step for p in read(tmp_path, header + "".join(bars)).curve] == [100, 200]


def test_the_summary_of_a_run_is_no_point(tmp_path: Path) -> None:
    log = read(tmp_path, DICTS + "{'train_runtime': 9.5, 'train_loss': 4.5, 'epoch': 1.0}\n")

    assert len(log.curve) == 2


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("learning_rate = 6e-4\nmax_iters = 5000\n", {"learning_rate": 6e-4, "max_iters": 5000}),
        ("Overriding: batch_size = 12\n", {"batch_size": 12}),
        (
            "Namespace(lr=0.1, model='gpt2', fp16=True)\n",
            {"lr": 0.1, "model": "gpt2", "fp16": True},
        ),
        ("  lr .............. 0.0001\n", {"lr": 0.0001}),
        ("  weight_decay=0.01,\n  fp16=False,\n", {"weight_decay": 0.01, "fp16": False}),
        ("batch_size: 8\nlr: 1e-4\n", {"batch_size": 8, "lr": 1e-4}),
        ("out_dir = 'out'\nclip = None\n", {"out_dir": "out", "clip": None}),
        ("betas=[0.9, 0.95]\n", {"betas": [0.9, 0.95]}),
        ("x = y = 3\nSaved to a: b\n", {}),
        ("lr = 6e-4 # the highest\n", {"lr": 6e-4}),
        ("  lr ....... 0.0001......................updated\n", {"lr": 0.0001}),
        ("def f(x):\n    lr = 0.5\nclass A:\n    seed = 3\n", {"lr": None, "seed": None}),
        (
            " | Num Epochs = 4 | Total steps = 60\n Batch size per device = 2 | Gradient "
            "accumulation steps = 8\n",
            {
                "Num Epochs": 4,
                "Total optimization steps": 60,
                "Instantaneous batch size per device": 2,
                "Gradient accumulation steps": 8,
            },
        ),
    ],
)
def test_settings_that_a_log_prints(tmp_path: Path, text: str, settings: dict[str, object]) -> None:
    found = read(tmp_path, text + "step 1: loss 5.0\nnot_a_setting = 3\n").settings

    assert {name: found.get(name) for name in settings} == settings
    assert "not_a_setting" not in found


def test_steps_of_bars_count_on_over_epochs(tmp_path: Path) -> None:
    bars = "".join(
        f"Epoch {epoch}:  50%|##  | {n}/20 [00:10<00:10, 2.0it/s, train_loss={epoch}.{n}]\r"
        for epoch in (0, 1)
        for n in (10, 20)
    )

    assert [p.step for p in read(tmp_path, bars).curve] == [10, 20, 30, 40]
    assert [p.step for p in LiveReader().feed(bars + "\n")] == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("step:5/90 loss:5\nstep:6/90 loss:4\n", 90),
        ("[5/90] loss=5\n", 90),
        ("iteration 5/ 90 | lm loss: 5.0 |\n", 90),
        ("[step=5/90,epoch=0]\n  train_loss=5\n", 90),
        ("5/90 [00:12<01:52,  8.00it/s, loss=5]\n", 90),
        ('{"step": 5, "loss": 5, "total_steps": 90}\n', 90),
        ("step 5 loss 5\n", None),
        ("Epoch 1/4, Step [5/90], Loss: 5\n", None),
        ("step 5/90 loss 5\nstep 5/80: val loss 4\n", None),
        ("step 95/90 loss 5\n", None),
        ("step 5/90 loss 5\nstep 6/90 loss 4\nstep 5/90 loss 4.9\nstep 6/90 loss 4.8\n", None),
    ],
)
def test_a_log_may_say_how_many_steps_there_will_be(
    tmp_path: Path, text: str, total: int | None
) -> None:
    assert read(tmp_path, text).settings.get("total_steps") == total


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
