"""Runs that are interrupted, killed, or damaged, against runs that are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.curves import Point, Stop, StopReason, read_curve
from sweeper.errors import BaseError, CheckpointError
from sweeper.study import Hyperparameters
from sweeper.training import loop
from sweeper.training.lost import read_lost
from sweeper.training.manifest import read_manifest
from sweeper.training.peft_engine import PeftEngine
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.training.conftest import (
    PREEMPTED,
    Runner,
    Script,
    assert_same_run,
    every,
    steps_of,
)

DROPOUT = tiny.recipe(dropout=0.2, train_also="norms")
LAST_STEP = 16  # of TOKENS in conftest.py
RUNGS = [0, 5, 10, 15, 16]  # 320 tokens apart, 64 tokens a step


class Killed(BaseException):
    """Stands for a process that ends without doing anything more."""


def after(steps: int, error: BaseException) -> Callable[[], Stop | None]:
    asked = iter(range(1, 10_000))

    def ask() -> Stop | None:
        if next(asked) == steps:
            raise error
        return None

    return ask


def kill(run: Runner, folder: Path, after_steps: int, recipe: Hyperparameters = DROPOUT) -> None:
    """Train until a step, and end there as a killed process does, a half-written line included."""
    with pytest.raises(Killed):
        run(folder, recipe, interrupt=after(after_steps, Killed()))
    with (folder / "curve.jsonl").open("a") as curve:
        curve.write('{"step": 99, "tok')


def damage(folder: Path, step: int) -> None:
    """Flip one byte in the middle of a checkpoint's tensors."""
    path = folder / "checkpoint" / f"{step:06d}" / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def whole(bench: Workbench, engine: PeftEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    Runner(bench, engine)(folder, DROPOUT)
    return folder


def test_run_leaves_its_curve_rungs_adapter_and_manifest(run: Runner, whole: Path) -> None:
    points = read_curve(whole / "curve.jsonl").points
    assert [p.step for p in points] == list(range(LAST_STEP + 1))
    assert points[-1].tokens == 992
    assert [p.step for p in points if p.val_loss is not None] == RUNGS
    assert points[0].train_loss is None
    assert all(p.train_loss and p.grad_norm and p.learning_rate for p in points[1:])
    result = read_manifest(whole / "manifest.json").result
    assert result is not None
    assert (result.stop_reason, result.tokens, result.notes) == ("completed", 992, [])
    assert result.val_loss == points[-1].val_loss
    assert result.last_good_step is None
    assert sorted(result.adapter_sha256) == sorted(p.name for p in (whole / "adapter").iterdir())
    assert not [p.name for p in whole.iterdir() if p.name.startswith(".")]


def test_same_run_again_is_the_same(run: Runner, whole: Path, tmp_path: Path) -> None:
    run(tmp_path / "between", tiny.recipe(rank=4, train_also="embeddings"), tokens=130)
    run(tmp_path / "again", DROPOUT)
    assert_same_run(whole, tmp_path / "again")


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_interrupted_and_resumed_is_the_same_as_uninterrupted(
    run: Runner, whole: Path, tmp_path: Path, steps: int
) -> None:
    folder = tmp_path / "run"
    preempted = 0
    while run(folder, DROPOUT, interrupt=every(steps)).stop == PREEMPTED:
        preempted += 1
        assert not (folder / "adapter").exists()
        assert read_manifest(folder / "manifest.json").result is None
    assert preempted == (LAST_STEP - 1) // steps
    assert_same_run(whole, folder)


@pytest.mark.parametrize("after_steps", [2, 5, 8, 14])
def test_killed_and_resumed_is_the_same_as_uninterrupted(
    run: Runner, whole: Path, tmp_path: Path, after_steps: int
) -> None:
    kill(run, tmp_path, after_steps)
    kill(run, tmp_path, 1)
    outcome = run(tmp_path, DROPOUT)
    assert outcome.stop.reason is StopReason.COMPLETED
    assert [p.step for p in outcome.curve] == list(range(LAST_STEP + 1))
    assert_same_run(whole, tmp_path)
    last_rung = max(step for step in RUNGS if step < after_steps)
    lost_steps = after_steps - last_rung + 1  # one more by the second kill
    assert read_lost(tmp_path).tokens == 64 * lost_steps
    assert read_lost(tmp_path).seconds > 0


def test_what_a_resume_cuts_is_counted_once_even_if_it_is_killed(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(run, tmp_path, 8)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "write_curve", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):  # between writing down what is lost and cutting it
            run(tmp_path, DROPOUT)
    found = read_lost(tmp_path)
    assert found.tokens == 3 * 64
    run(tmp_path, DROPOUT)
    assert read_lost(tmp_path) == found


def test_whole_lines_after_the_checkpoint_are_trained_again(
    run: Runner, whole: Path, tmp_path: Path
) -> None:
    kill(run, tmp_path, 6)
    curve = tmp_path / "curve.jsonl"
    ahead = (whole / "curve.jsonl").read_text().splitlines()[7:12]
    curve.write_text("".join(curve.read_text().splitlines(True)[:7] + [f"{a}\n" for a in ahead]))
    run(tmp_path, DROPOUT)
    assert_same_run(whole, tmp_path)


def test_watch_sees_every_point_once_across_an_interruption(run: Runner, tmp_path: Path) -> None:
    first, second = Script(), Script()
    run(tmp_path, watch=first, interrupt=every(7))
    run(tmp_path, watch=second)
    assert (first.updated, first.replayed) == (list(range(8)), [])
    assert (second.updated, second.replayed) == (list(range(8, LAST_STEP + 1)), list(range(8)))


def test_finished_run_is_not_trained_again(run: Runner, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    outcome = run(folder, DROPOUT, interrupt=after(1, AssertionError("a step was trained")))
    assert outcome.stop.reason is StopReason.COMPLETED
    assert_same_run(whole, folder)


def test_damaged_checkpoint_falls_back_to_the_one_before(
    run: Runner, whole: Path, tmp_path: Path
) -> None:
    kill(run, tmp_path, 12)
    assert steps_of(tmp_path) == [5, 10]
    damage(tmp_path, 10)
    outcome = run(tmp_path, DROPOUT)
    assert_same_run(whole, tmp_path)
    result = read_manifest(tmp_path / "manifest.json").result
    assert result is not None
    assert result.notes == list(outcome.notes)
    assert ["000010" in note and "SHA-256" in note for note in outcome.notes] == [True]


@pytest.mark.parametrize("missing", ["state.json", "tensors.safetensors"])
def test_checkpoint_without_one_of_its_files_is_passed_over(
    run: Runner, whole: Path, tmp_path: Path, missing: str
) -> None:
    kill(run, tmp_path, 12)
    (tmp_path / "checkpoint" / "000010" / missing).unlink()
    assert len(run(tmp_path, DROPOUT).notes) == 1
    assert_same_run(whole, tmp_path)


def test_every_checkpoint_damaged_says_what_to_do(run: Runner, tmp_path: Path) -> None:
    kill(run, tmp_path, 12)
    for step in steps_of(tmp_path):
        damage(tmp_path, step)
    tiny.assert_raises_with(CheckpointError, lambda: run(tmp_path, DROPOUT), "000005", "Remove")


@pytest.mark.parametrize("kept", [None, 0, 4])
def test_curve_that_ends_before_its_checkpoint_is_refused(
    run: Runner, tmp_path: Path, kept: int | None
) -> None:
    kill(run, tmp_path, 12)
    curve = tmp_path / "curve.jsonl"
    lines = curve.read_text().splitlines(True)
    curve.unlink() if kept is None else curve.write_text("".join(lines[:kept]))
    tiny.assert_raises_with(CheckpointError, lambda: run(tmp_path, DROPOUT), "curve.jsonl")


@pytest.mark.parametrize(
    "changes", [{"learning_rate": 1e-2}, {"rank": 3}, {"seed": 4}, {"batch_size": 2}]
)
def test_checkpoint_of_another_recipe_is_refused(
    run: Runner, tmp_path: Path, changes: dict[str, object]
) -> None:
    run(tmp_path, interrupt=every(3))
    tiny.assert_raises_with(
        CheckpointError, lambda: run(tmp_path, tiny.recipe(**changes)), "the recipe"
    )


def test_checkpoint_of_another_budget_is_refused(run: Runner, tmp_path: Path) -> None:
    run(tmp_path, interrupt=every(3))
    with pytest.raises(CheckpointError, match="the recipe"):
        run(tmp_path, tokens=1_100)


def test_checkpoint_of_another_base_is_refused(run: Runner, tmp_path: Path) -> None:
    run(tmp_path / "run", interrupt=every(3))
    other = tmp_path / "ground"
    tiny.write_base(other / "base")
    config = other / "base" / "config.json"
    config.write_text(config.read_text() + "\n")
    bench = tiny.new_bench(other)
    again = Runner(bench, bench.new_engine())
    with pytest.raises(CheckpointError, match=r"base: \w+ -> \w+"):
        again(tmp_path / "run")


def test_checkpoint_of_another_corpus_is_refused(run: Runner, tmp_path: Path) -> None:
    run(tmp_path / "run", interrupt=every(3))
    other = tmp_path / "ground"
    other.mkdir()
    tiny.write_corpus(other / "qa.md", num_documents=41)
    bench = tiny.new_bench(other)
    again = Runner(bench, bench.new_engine())
    with pytest.raises(CheckpointError, match=r"corpus: \w+ -> \w+; stream"):
        again(tmp_path / "run")


def test_refused_run_leaves_the_engine_ready(run: Runner, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="nowhere"):
        run(tmp_path / "one", tiny.recipe(target_modules="c_attn+nowhere"))
    with pytest.raises(BaseError, match="65 is more than the 64 positions"):
        run(tmp_path / "two", tiny.recipe(block_size=65))
    run(tmp_path / "again", DROPOUT)
    assert_same_run(whole, tmp_path / "again")


def test_points_count_training_seconds_only_upwards(whole: Path) -> None:
    seconds = [p.seconds for p in read_curve(whole / "curve.jsonl")]
    assert seconds == sorted(seconds, key=lambda s: s or 0.0)
    assert isinstance(read_curve(whole / "curve.jsonl").points[0], Point)
