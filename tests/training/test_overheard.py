"""What a killed command had said and nobody had written into the curve."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.curves import Curve, Point
from sweeper.training.overheard import end_line, with_the_unread
from tests.training.scripts import plan

TOKENS_PER_STEP = 64


def line(step: int, loss: float | None = None) -> str:
    return f"step {step}: val loss {5 - step / 50 if loss is None else loss}\n"


def curve_of(*steps: int) -> Curve:
    return Curve(
        tuple(
            Point(step, step * TOKENS_PER_STEP, val_loss=5 - step / 50, seconds=step / 10)
            for step in steps
        )
    )


def overheard(folder: Path, written: str, *known: int) -> Curve:
    log = folder / "output.log"
    log.write_text(written)
    return with_the_unread(curve_of(*known), log, plan(folder))


@pytest.mark.parametrize(
    ("written", "known", "steps"),
    [
        ([0, 10, 20], (0, 10, 20), [0, 10, 20]),
        ([0, 10, 20, 30], (0, 10), [0, 10, 20, 30]),
        ([0, 10], (), [0, 10]),
        ([0, 10, 20, 10, 20, 30], (0, 10, 20), [0, 10, 20, 30]),
        ([0, 10, 20, 30, 0, 10], (0, 10, 20, 30), [0, 10, 20, 30]),
        ([0, 10, 0, 10, 20], (), [0, 10, 20]),
    ],
)
def test_later_steps_of_the_last_attempt_are_added(
    tmp_path: Path, written: list[int], known: tuple[int, ...], steps: list[int]
) -> None:
    curve = overheard(tmp_path, "".join(map(line, written)), *known)
    assert [point.step for point in curve] == steps
    assert [point.tokens for point in curve] == [step * TOKENS_PER_STEP for step in steps]
    assert [point.val_loss for point in curve] == [5 - step / 50 for step in steps]
    last_known_s = known[-1] / 10 if known else 0.0
    assert all(p.seconds == last_known_s for p in curve if p.step > max(known, default=-1))


def test_the_last_step_that_was_written_down_has_all_its_parts(tmp_path: Path) -> None:
    parts = "step 10: train loss 4.5\nstep 10: val loss 4.6\n"
    log = tmp_path / "output.log"
    log.write_text(parts)
    known = Curve((Point(10, 640, train_loss=4.5, seconds=1.0),))
    (point,) = with_the_unread(known, log, plan(tmp_path))
    assert point == Point(10, 640, train_loss=4.5, val_loss=4.6, seconds=1.0)


def test_half_a_line_is_not_read_and_nothing_is_glued_to_it(tmp_path: Path) -> None:
    half = line(0) + "step 10: val loss 4."
    assert [point.step for point in overheard(tmp_path, half)] == [0]
    log = tmp_path / "output.log"
    end_line(log)
    end_line(log)
    assert log.read_text() == half + "\n"


def test_without_a_log_there_is_nothing_to_be_heard(tmp_path: Path) -> None:
    assert with_the_unread(curve_of(0), tmp_path / "output.log", plan(tmp_path)) == curve_of(0)
    end_line(tmp_path / "output.log")
    assert not (tmp_path / "output.log").exists()
