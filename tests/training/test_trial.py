"""Runs that are interrupted, killed, damaged, cramped or stopped, against runs that are not."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sweeper.curves import Point, Stop, StopReason, read_curve
from sweeper.data import Blocks
from sweeper.errors import BaseError, CheckpointError
from sweeper.study import Hyperparameters
from sweeper.training.checkpoint import CheckpointFolder
from sweeper.training.engine import Gradient
from sweeper.training.manifest import read_manifest
from sweeper.training.peft_engine import PeftEngine
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.training.conftest import Runner, Script, assert_same_run, curve_lines

PREEMPTED = Stop(StopReason.PREEMPTED, "interrupted")
DROPOUT = tiny.recipe(dropout=0.2, train_also="norms")
LAST_STEP = 16  # of TOKENS in conftest.py
RUNGS = [0, 5, 10, 15, 16]  # 320 tokens apart, 64 tokens a step


class Killed(BaseException):
    """Stands for a process that ends without doing anything more."""


def every(steps: int) -> Callable[[], Stop | None]:
    """An interruption after each so many steps."""
    asked = iter(range(1, 10_000))
    return lambda: PREEMPTED if next(asked) % steps == 0 else None


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


def steps_of(folder: Path) -> list[int]:
    return CheckpointFolder(folder / "checkpoint").steps()


def damage(folder: Path, step: int) -> None:
    """Flip one byte in the middle of a checkpoint's tensors."""
    path = folder / "checkpoint" / f"{step:06d}" / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def whole(
    bench: Workbench, engine: PeftEngine, tmp_path_factory: pytest.TempPathFactory
) -> Path:
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


def test_refused_run_leaves_the_engine_ready(
    run: Runner, whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(BaseError, match="nowhere"):
        run(tmp_path / "one", tiny.recipe(target_modules="c_attn+nowhere"))
    with pytest.raises(BaseError, match="65 is more than the 64 positions"):
        run(tmp_path / "two", tiny.recipe(block_size=65))
    run(tmp_path / "again", DROPOUT)
    assert_same_run(whole, tmp_path / "again")


class Cramped(PeftEngine):
    """An engine on which only so many blocks fit, and which fails as an allocator does."""

    limit = 2

    def accumulate(self, batch: Blocks, micro_batch: int) -> Gradient:
        if min(micro_batch, len(batch.inputs)) > self.limit:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")
        return super().accumulate(batch, micro_batch)


@pytest.fixture
def cramped(bench: Workbench) -> Cramped:
    return Cramped(bench.base, bench.device)


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_run(
    run: Runner, cramped: Cramped, tmp_path: Path
) -> None:
    roomy = run(tmp_path / "small", tiny.recipe(batch_size=2, accumulation=2))
    outcome = run(tmp_path / "cramped", tiny.recipe(batch_size=4), engine=cramped)
    assert outcome.stop.reason is StopReason.COMPLETED
    assert outcome.micro_batch == 2
    assert ["micro-batch 4 -> 2" in note for note in outcome.notes] == [True]
    result = read_manifest(tmp_path / "cramped" / "manifest.json").result
    assert result is not None
    assert (result.micro_batch, result.notes) == (2, list(outcome.notes))
    assert [p.tokens for p in outcome.curve] == [p.tokens for p in roomy.curve]
    for one, other in zip(outcome.curve.points[1:], roomy.curve.points[1:], strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, abs=1e-6)
    adapters = [load_file(tmp_path / n / "adapter/adapter_model.safetensors") for n in _PAIR]
    for name, tensor in adapters[0].items():
        torch.testing.assert_close(tensor, adapters[1][name], rtol=0, atol=1e-6)


_PAIR = ("small", "cramped")


def test_halved_micro_batch_survives_an_interruption(
    run: Runner, cramped: Cramped, tmp_path: Path
) -> None:
    run(tmp_path, tiny.recipe(batch_size=4), engine=cramped, interrupt=every(3))
    outcome = run(tmp_path, tiny.recipe(batch_size=4))  # room again, the same arithmetic all along
    assert outcome.micro_batch == 2
    assert len(outcome.notes) == 1
    assert "micro-batch 2" in outcome.notes[0]


def test_no_room_for_one_block_ends_the_run(
    run: Runner, cramped: Cramped, tmp_path: Path
) -> None:
    cramped.limit = 0
    outcome = run(tmp_path, tiny.recipe(batch_size=4), engine=cramped)
    assert outcome.stop.reason is StopReason.OUT_OF_MEMORY
    assert "step 0" in outcome.stop.evidence
    assert outcome.micro_batch == 1
    assert [p.step for p in outcome.curve] == [0]
    result = read_manifest(tmp_path / "manifest.json").result
    assert result is not None
    assert result.stop_reason == "out_of_memory"


def test_other_runtime_errors_are_not_taken_for_a_lack_of_memory(
    run: Runner, bench: Workbench, tmp_path: Path
) -> None:
    class Broken(PeftEngine):
        def accumulate(self, batch: Blocks, micro_batch: int) -> Gradient:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(tmp_path, engine=Broken(bench.base, bench.device))


def test_run_that_its_watch_stops_is_measured_where_it_ends(run: Runner, tmp_path: Path) -> None:
    stop = Stop(StopReason.PLATEAU, "flat")
    outcome = run(tmp_path, watch=Script(stops={7: stop}))
    assert outcome.stop == stop
    points = outcome.curve.points
    assert [p.step for p in points if p.val_loss is not None] == [0, 5, 7]
    assert read_curve(tmp_path / "curve.jsonl").points == points
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    result = read_manifest(tmp_path / "manifest.json").result
    assert result is not None
    assert (result.stop_reason, result.evidence) == ("plateau", "flat")
    assert result.val_loss == points[-1].val_loss


def test_measuring_where_a_run_ends_changes_no_point_before_it(
    run: Runner, tmp_path: Path
) -> None:
    run(tmp_path / "whole")
    run(tmp_path / "stopped", watch=Script(stops={7: Stop(StopReason.PEERS, "slow")}))
    whole, stopped = curve_lines(tmp_path / "whole"), curve_lines(tmp_path / "stopped")
    assert stopped[:7] == whole[:7]
    assert {k: v for k, v in stopped[7].items() if k != "val_loss"} == whole[7]


@contextmanager
def not_finite_from(step: int) -> Iterator[type[PeftEngine]]:
    class Diverging(PeftEngine):
        calls = 0

        def accumulate(self, batch: Blocks, micro_batch: int) -> Gradient:
            gradient = super().accumulate(batch, micro_batch)
            type(self).calls += 1
            is_broken = type(self).calls >= step
            return replace(gradient, train_loss=math.nan, grad_norm=math.inf) if is_broken else (
                gradient
            )

    yield Diverging


@pytest.mark.parametrize("step", [3, 5])
def test_loss_that_is_no_number_ends_the_run(
    run: Runner, bench: Workbench, tmp_path: Path, step: int
) -> None:
    with not_finite_from(step) as engine:
        outcome = run(tmp_path, engine=engine(bench.base, bench.device))
    assert outcome.stop.reason is StopReason.NON_FINITE
    assert f"step {step}" in outcome.stop.evidence
    last = outcome.curve.points[-1]
    assert last.step == step
    assert last.val_loss is None
    result = read_manifest(tmp_path / "manifest.json").result
    assert result is not None
    assert result.val_loss == outcome.curve.points[0].val_loss
    assert math.isnan(read_curve(tmp_path / "curve.jsonl").points[-1].train_loss or 0)
    assert steps_of(tmp_path) == [0]  # nothing broken was kept to resume from


def marks(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "checkpoint" / "marks.json").read_text())
    return found


def test_checkpoint_from_before_a_spike_is_kept_by_name(run: Runner, tmp_path: Path) -> None:
    run(tmp_path, watch=Script(spikes={7: 6}))
    assert steps_of(tmp_path) == [5, 15, 16]  # without the spike, 15 and 16 alone
    assert marks(tmp_path) == {
        "last_good_step": 5,
        "spike_start_step": 6,
        "after_spike_steps": [15, 16],
    }
    result = read_manifest(tmp_path / "manifest.json").result
    assert result is not None
    assert result.last_good_step == 5


def test_spike_that_recovers_leaves_no_marks(run: Runner, tmp_path: Path) -> None:
    run(tmp_path, watch=Script(spikes={7: 6, 12: None}))
    assert steps_of(tmp_path) == [15, 16]
    assert not (tmp_path / "checkpoint" / "marks.json").exists()
    result = read_manifest(tmp_path / "manifest.json").result
    assert result is not None
    assert result.last_good_step is None


def test_spike_that_recovers_after_an_interruption_leaves_no_marks(
    run: Runner, tmp_path: Path
) -> None:
    spikes: dict[int, int | None] = {7: 6, 12: None}
    run(tmp_path, watch=Script(spikes=spikes), interrupt=every(9))
    assert marks(tmp_path)["last_good_step"] == 5
    run(tmp_path, watch=Script(spikes=spikes))
    assert not (tmp_path / "checkpoint" / "marks.json").exists()


def test_real_spike_is_seen_by_the_lookout_of_a_run(
    run: Runner, bench: Workbench, tmp_path: Path
) -> None:
    class Spiking(PeftEngine):
        step = 0

        def accumulate(self, batch: Blocks, micro_batch: int) -> Gradient:
            gradient = super().accumulate(batch, micro_batch)
            Spiking.step += 1
            return replace(gradient, train_loss=20.0) if Spiking.step >= 8 else gradient

    run(tmp_path, engine=Spiking(bench.base, bench.device))
    assert marks(tmp_path)["last_good_step"] == 5


def test_points_count_training_seconds_only_upwards(whole: Path) -> None:
    seconds = [p.seconds for p in read_curve(whole / "curve.jsonl")]
    assert seconds == sorted(seconds, key=lambda s: s or 0.0)
    assert isinstance(read_curve(whole / "curve.jsonl").points[0], Point)
