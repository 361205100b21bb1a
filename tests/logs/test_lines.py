"""Lines of text: which say something of the run, and what."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.curves import Point
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


def test_steps_of_bars_count_on_over_epochs(tmp_path: Path) -> None:
    bars = "".join(
        f"Epoch {epoch}:  50%|##  | {n}/20 [00:10<00:10, 2.0it/s, train_loss={epoch}.{n}]\r"
        for epoch in (0, 1)
        for n in (10, 20)
    )

    assert [p.step for p in read(tmp_path, bars).curve] == [10, 20, 30, 40]
    assert [p.step for p in LiveReader().feed(bars + "\n")] == [10, 20, 30, 40]
