"""The file of recorded curves, and what it gives for a recipe."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.curves import Curve, Point, StopReason
from sweeper.curves.curve import write_curve
from sweeper.errors import UsageError
from sweeper.search.replay.bank import Bank, Run, read_bank, write_bank
from sweeper.search.replay.recording import bank_of
from sweeper.search.results import load_results
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.study import Rungs, StudySpec, load_study, spec_to_plain
from tests.search.fakes import claimed, result, run_faked, spec_at
from tests.search.replay.banks import RATES, RUNGS, SEEDS, TOKENS, new_spec

pytestmark = pytest.mark.usefixtures("stored_in_memory")


def test_bank_comes_back_from_its_file(bank: Bank, tmp_path: Path) -> None:
    write_bank(bank, tmp_path / "bank.npz")
    found = read_bank(tmp_path / "bank.npz")
    assert replace(found, runs=()) == replace(bank, runs=())
    for kept, run in zip(found.runs, bank.runs, strict=True):
        assert kept.hyperparameters == run.hyperparameters
        assert len(kept.curve) == len(run.curve)
        for point, original in zip(kept.curve, run.curve, strict=True):
            assert (point.step, point.tokens) == (original.step, original.tokens)
            assert near(point.train_loss, original.train_loss, 3e-4)
            assert near(point.val_loss, original.val_loss, 1e-5)
            assert near(point.seconds, original.seconds, 0.1)


def near(found: float | None, original: float | None, distance: float) -> bool:
    """Whether two numbers lie so near, or are both absent."""
    if found is None or original is None:
        return found is original
    return abs(found - original) <= distance


def test_losses_that_are_no_numbers_are_kept_as_such(bank: Bank, tmp_path: Path) -> None:
    recipe = bank.runs[0].hyperparameters
    points = (
        Point(step=0, tokens=0, val_loss=6.0, seconds=0.0),
        Point(step=1, tokens=16, train_loss=1e6, seconds=1.0),
        Point(step=2, tokens=32, train_loss=math.nan, val_loss=math.nan, seconds=2.0),
    )
    write_bank(replace(bank, runs=(Run(recipe, Curve(points)),)), tmp_path / "bank.npz")
    (run,) = read_bank(tmp_path / "bank.npz").runs
    losses = [point.train_loss for point in run.curve]
    assert losses[0] is None
    assert losses[1] is not None
    assert losses[1] > 30, "as high as 16 bits can say"
    assert losses[2] is not None
    assert math.isnan(losses[2])
    assert run.final_val_loss == math.inf


def test_without_its_early_rungs_a_bank_has_the_losses_of_the_even_ones(bank: Bank) -> None:
    assert bank.even.rungs == Rungs(RUNGS.every_tokens)
    assert bank.even.even is bank.even
    for run, even in zip(bank.runs, bank.even.runs, strict=True):
        losses = {point.tokens: point.val_loss for point in run.curve.evaluations()}
        left = {point.tokens: point.val_loss for point in even.curve.evaluations()}
        assert left.items() < losses.items()
        assert len(left) == 1 + TOKENS // RUNGS.every_tokens
        assert even.curve.points[-1] == run.curve.points[-1]


def test_recipe_is_found_by_all_but_its_rate(bank: Bank, tmp_path: Path) -> None:
    spec = new_spec(tmp_path)
    changes: dict[str, Any] = {"block_size": 32, "batch_size": 2, "accumulation": 2}
    for rate, nearest in ((2e-3, RATES[2]), (5e-3, RATES[3]), (9e-2, RATES[4])):
        recipe = spec.hyperparameters_with({**changes, "learning_rate": rate})
        found = bank.find(recipe, SEEDS[1]).hyperparameters
        assert (found.block_size, found.effective_batch, found.seed) == (32, 4, SEEDS[1])
        assert found.learning_rate == nearest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_size": 64}, r"block_size: 64 \(allowed: 16, 32\)"),
        ({"batch_size": 8}, r"effective_batch: 8 \(allowed: 1, 2, 4\)"),
        ({"schedule": "cosine"}, r"schedule: cosine \(allowed: constant, linear\)"),
    ],
)
def test_recipe_that_is_not_there_is_named(
    bank: Bank, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        bank.find(new_spec(tmp_path).hyperparameters_with(change), SEEDS[0])
    with pytest.raises(UsageError, match="seed 3"):
        bank.find(bank.runs[0].hyperparameters, 3)


def test_file_that_is_no_bank_is_refused(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    with pytest.raises(UsageError, match="no such file"):
        read_bank(path)
    path.write_text("losses")
    with pytest.raises(UsageError, match=r"bank\.npz is damaged, or is no bank"):
        read_bank(path)
    np.savez(path, about=np.array('{"format": 9}'))
    with pytest.raises(UsageError, match=r"of format 9 \(allowed: 1\)"):
        read_bank(path)


def test_file_that_lost_something_is_refused(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    write_bank(bank, path)
    with np.load(path) as whole:
        arrays = {name: whole[name] for name in whole.files}
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UsageError, match="damaged"):
        read_bank(path)
    for name in ("train_loss_T", "val_loss_E", "is_evaluated_P"):
        np.savez(path, **{**arrays, name: arrays[name][:-1]})
        with pytest.raises(UsageError, match="damaged"):
            read_bank(path)


def test_bank_is_made_of_the_whole_runs_of_a_study(tmp_path: Path) -> None:
    """By the command; of two equal experiments one is kept, and a failed one is not."""
    off = {"spike": "off", "plateau": "off", "peers": "off"}
    listed = [{"rank": 4}, {"rank": 4, "batch_size": 4, "accumulation": 2}, {"rank": 1}]
    study = spec_at(tmp_path, prune=off, space={}, trials=listed, search={"sampler": "list"})
    (tmp_path / "qa.md").write_text("Q: a\nA: b\n")
    study.path.write_text(json.dumps(spec_to_plain(study)))
    store = StudyStore(study, create=True)
    for loss in (5.0, 4.5, 4.5, None):
        claim = claimed(store)
        same = store.same_experiment(claim)
        write_run(study, claim.number, 5.0 if loss is None else loss)
        if loss is None:
            store.finish(claim, result(StopReason.ERROR, None))
        else:
            number = None if same is None else same.number
            store.finish(claim, result(val_loss=loss, same_as=number))
    out = tmp_path / "bank.npz"
    outcome = CliRunner().invoke(app, ["bank", str(study.path), str(out)])
    assert outcome.exit_code == 0, outcome.output
    assert "2 runs of 4,000 tokens" in outcome.stdout
    bank = read_bank(out)
    assert [run.hyperparameters.rank for run in bank.runs] == [2, 4]
    assert [run.final_val_loss for run in bank.runs] == [5.0, 4.5]
    assert (bank.tokens_per_trial, bank.rungs) == (4_000, Rungs(1_000))
    assert bank.source == ("small", load_study(study.path, []).digest)


def write_run(study: StudySpec, number: int, loss: float) -> None:
    """A curve of sixteen steps of 256 tokens, evaluated at its ends."""
    folder = trial_folder(study, number)
    folder.mkdir(parents=True)
    points = [Point(step=0, tokens=0, val_loss=6.0, seconds=0.0)]
    for step in range(1, 17):
        tokens = min(256 * step, 4_000)
        val_loss = loss if step == 16 else None
        points.append(
            Point(step=step, tokens=tokens, train_loss=loss, val_loss=val_loss, seconds=step)
        )
    write_curve(folder / "curve.jsonl", points)


def test_study_that_prunes_makes_no_bank(tmp_path: Path) -> None:
    spec = spec_at(tmp_path)
    store = StudyStore(spec, create=True)
    run_faked(store)
    with pytest.raises(UsageError, match="a bank holds whole runs"):
        bank_of(load_results(store))
    off = {"spike": "off", "plateau": "off", "peers": "off"}
    spec = spec_at(tmp_path, name="whole", prune=off)
    store = StudyStore(spec, create=True)
    run_faked(store)
    with pytest.raises(UsageError, match="no run that came to its end"):
        bank_of(load_results(store))
