"""A real spike, taken again: trained whole at a rate that climbs until the loss does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sweeper.curves import read_curve
from sweeper.errors import CheckpointError, UsageError
from sweeper.training.examination import (
    Change,
    Examination,
    SpikeCause,
    read_examination,
)
from sweeper.training.onset import find_onset
from sweeper.training.packs import new_pack
from sweeper.training.spike_replay import examine_spike
from sweeper.training.trial import plan_run, run_plan
from sweeper.training.watches import Lookout
from tests import tiny
from tests.training.conftest import never

RECIPE = tiny.recipe(
    learning_rate=1.0,
    schedule="constant",
    warmup=40,
    clip_norm=None,
    train_also="embeddings+norms",
)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ground with base, corpus, and one run of 34 steps that spikes."""
    folder = tmp_path_factory.mktemp("spiked")
    bench = tiny.new_bench(folder, every_tokens=640)
    run = folder / "runs" / "0"
    plan = plan_run(bench, RECIPE, 34 * 64, run)
    run_plan(plan, bench, new_pack("peft", bench).seats[0], Lookout(), never, run)
    return folder


@pytest.fixture(scope="module")
def found(ground: Path) -> Examination:
    before = sorted(path.name for path in (ground / "runs" / "0").iterdir())
    found = examine_spike(ground / "runs" / "0")
    after = sorted(path.name for path in (ground / "runs" / "0").iterdir())
    assert after == sorted([*before, "spike.json"])
    return found


def test_the_rate_is_named_and_the_spike_comes_again_bit_for_bit(
    ground: Path, found: Examination
) -> None:
    recorded = {p.step: p.train_loss for p in read_curve(ground / "runs" / "0" / "curve.jsonl")}
    control = next(e for e in found.experiments if e.change is Change.NOTHING)
    steps = range(control.first_step, control.first_step + len(control.train_losses))
    assert control.train_losses == tuple(recorded[step] for step in steps)
    assert found.repeats_exactly
    assert found.cause is SpikeCause.RATE
    assert read_examination(ground / "runs" / "0") == found


def test_experiments_differ_from_where_their_change_begins(found: Examination) -> None:
    control, *others = found.experiments
    assert [e.change for e in others].count(Change.BATCH) == 5
    suspects = found.onset_step - 1 - control.first_step  # losses before the suspected steps
    for one in others:
        same = 1 if one.change is not Change.BATCH else suspects
        assert one.train_losses[:same] == control.train_losses[:same]
        assert one.train_losses[same:] != control.train_losses[same:]
    assert len({e.train_losses for e in found.experiments}) == len(found.experiments)


def test_the_documents_make_up_their_batches(found: Examination) -> None:
    assert {d.step for d in found.documents} == {found.onset_step - 1, found.onset_step}
    assert all(d.name.startswith("qa.md:") for d in found.documents)
    assert [d.loss for d in found.documents] == sorted(d.loss for d in found.documents)[::-1]
    for step, loss in zip(
        (found.onset_step - 1, found.onset_step), found.batch_losses, strict=True
    ):
        own = [d for d in found.documents if d.step == step]
        assert sum(d.num_tokens for d in own) == RECIPE.tokens_per_step
        mean = sum(d.loss * d.num_tokens for d in own) / RECIPE.tokens_per_step
        assert mean == pytest.approx(loss, abs=1e-5)
    assert len(found.other_batch_losses) == 10


def test_the_replay_begins_at_the_newest_checkpoint_that_is_early_enough(
    ground: Path, found: Examination
) -> None:
    kept = {int(p.name) for p in (ground / "runs/0/checkpoint").iterdir() if p.name.isdigit()}
    early = [step for step in kept if step <= found.branch_step]
    assert found.checkpoint_step == max(early, default=0)
    assert found.onset_step == find_onset(read_curve(ground / "runs/0/curve.jsonl")).start_step


def test_another_corpus_or_a_calm_curve_is_refused(ground: Path, tmp_path: Path) -> None:
    shutil.copytree(ground, tmp_path / "ground")
    run = tmp_path / "ground" / "runs" / "0"
    tiny.write_corpus(tmp_path / "ground" / "qa.md", 41)
    tiny.assert_raises_with(CheckpointError, lambda: examine_spike(run), "corpus:")
    lines = (run / "curve.jsonl").read_text().splitlines(keepends=True)
    (run / "curve.jsonl").write_text("".join(lines[:6]))
    tiny.assert_raises_with(UsageError, lambda: examine_spike(run), "no spike")
