"""The arms of the benchmark train the same: what they are compared by would be void otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.study import Hyperparameters
from sweeper.training.device import find_device
from sweeper.training.workbench import set_up
from tests.benchmarks import lean, ours, stock
from tests.benchmarks.job import Job
from tests.tiny import recipe, write_base, write_corpus

TOKENS = 208  # 13 blocks: the last step is short, and so is its last micro-batch
RECIPES = (
    recipe(batch_size=2, accumulation=3, learning_rate=0.02, warmup=0),
    recipe(batch_size=4, accumulation=1, learning_rate=0.01, schedule="linear", rank=4),
)


@pytest.fixture
def job(tmp_path: Path, torch_as_it_was: None) -> Job:
    base = write_base(tmp_path / "base")
    return Job(
        model=str(base.folder),
        corpus=str(write_corpus(tmp_path / "qa.md")),
        block_size=16,
        evaluation_tokens=96,
        tokens_per_trial=TOKENS,
        seed=0,
        recipes=RECIPES,
        folder=tmp_path,
    )


def with_folder(job: Job, name: str) -> Job:
    (job.folder / name).mkdir()
    return replace(job, folder=job.folder / name)


@pytest.mark.filterwarnings("ignore")  # what transformers and peft foretell of each other
def test_a_trainer_and_a_study_end_at_the_same_losses(job: Job) -> None:
    inline = {"count": 1, "backend": "inline", "threads": 1}
    theirs = stock.run_job(with_folder(job, "stock"), stock.Settings(threads=1))
    reordered = stock.run_job(with_folder(job, "again"), stock.Settings(threads=1, order_seed=1))
    study = ours.run_job(with_folder(job, "ours"), workers=inline)

    losses = [trial.val_loss for trial in study.trials]
    assert [trial.val_loss for trial in theirs.trials] == pytest.approx(losses, abs=1e-4)
    assert [trial.val_loss for trial in reordered.trials] == pytest.approx(losses, abs=1e-4)
    assert losses[0] != pytest.approx(losses[1], abs=1e-3)
    assert [trial.tokens for trial in theirs.trials] == [trial.tokens for trial in study.trials]


@pytest.mark.filterwarnings("ignore")
def test_the_hand_written_loop_sees_the_same_training_losses(job: Job) -> None:
    whole: Hyperparameters = RECIPES[1]
    alone = replace(job, recipes=(whole,), tokens_per_trial=3 * whole.tokens_per_step)
    inline = {"count": 1, "backend": "inline", "threads": 1}
    ours.run_job(alone, workers=inline)
    points = ours.read_points(alone, 0)

    _, losses = lean.train(set_up(alone.ground, find_device(1)), whole, alone.tokens_per_trial)

    assert losses == pytest.approx([point.train_loss for point in points[1:]], abs=1e-5)
    assert losses[2] < losses[0]
