"""Runs that meet a lack of memory, a stop, a spike, or a loss that is no number."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sweeper.curves import Stop, StopReason, read_curve
from sweeper.data import Blocks
from sweeper.training.engine import Gradient
from sweeper.training.manifest import read_manifest
from sweeper.training.peft_engine import PeftEngine
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.training.conftest import (
    Runner,
    Script,
    curve_lines,
    every,
    steps_of,
)


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


def test_no_room_for_one_block_ends_the_run(run: Runner, cramped: Cramped, tmp_path: Path) -> None:
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


def test_measuring_where_a_run_ends_changes_no_point_before_it(run: Runner, tmp_path: Path) -> None:
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
            return (
                replace(gradient, train_loss=math.nan, grad_norm=math.inf)
                if is_broken
                else (gradient)
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


@pytest.mark.parametrize("recovery", [10, 12])
def test_spike_that_recovers_after_an_interruption_leaves_no_marks(
    run: Runner, tmp_path: Path, recovery: int
) -> None:
    spikes: dict[int, int | None] = {7: 6, recovery: None}
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
