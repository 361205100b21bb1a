"""What one of our own runs knows of itself is what training did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.data import TokenStream, read_corpus, split_documents, training_blocks
from sweeper.diagnosis.places import trial_folder
from sweeper.diagnosis.trial import read_trial, read_trial_corpus
from sweeper.errors import BaseError, CheckpointError
from sweeper.training.course import Course
from sweeper.training.fingerprints import take_fingerprints
from sweeper.training.manifest import Manifest, write_manifest
from sweeper.training.trial import course_of, plan_run
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.diagnosis.corpora import prose

TOKENS = 1_000


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ground")


@pytest.fixture(scope="module")
def bench(ground: Path) -> Workbench:
    return tiny.new_bench(ground, loss_on="answers")


@pytest.fixture(scope="module")
def run(bench: Workbench, ground: Path) -> Path:
    """A run's folder as training leaves it, but for the training."""
    folder = ground / "trials" / "0007"
    folder.mkdir(parents=True)
    plan = plan_run(bench, tiny.RECIPE, TOKENS, folder)
    manifest = Manifest(trial=7, plan=plan, fingerprints=take_fingerprints(bench, 3))
    write_manifest(folder / "manifest.json", manifest)
    (folder / "curve.jsonl").write_text('{"step": 0, "tokens": 0, "train_loss": 5.0}\n')
    return folder


def course(bench: Workbench, folder: Path) -> Course:
    return course_of(plan_run(bench, tiny.RECIPE, TOKENS, folder))


def test_a_runs_folder_and_the_curve_in_it_are_known(run: Path, tmp_path: Path) -> None:
    assert trial_folder(run) == trial_folder(run / "curve.jsonl") == run
    (tmp_path / "log.csv").write_text("step,loss\n0,1\n")
    assert trial_folder(tmp_path / "log.csv") is None
    assert trial_folder(tmp_path) is None
    assert trial_folder(None) is None


def test_the_plan_is_the_manifests(run: Path, bench: Workbench) -> None:
    trial = read_trial(run)

    assert trial is not None
    assert trial.hyperparameters == tiny.RECIPE
    assert trial.hyperparameters.steps_within(trial.tokens) == course(bench, run).total_steps
    assert (trial.data.loss_on, trial.tokens, trial.split_seed) == ("answers", TOKENS, 0)


@pytest.mark.parametrize("step", [1, 2, 9, 15])
def test_an_events_documents_are_those_of_its_batch(run: Path, bench: Workbench, step: int) -> None:
    trial = read_trial(run)
    assert trial is not None

    found = read_trial_corpus(trial, {step: step - 1})

    first_block, num_blocks = course(bench, run).blocks_of(step - 1)
    start = first_block * tiny.RECIPE.block_size
    stream: TokenStream = bench.stream(3)
    batch = training_blocks(
        stream, start_tokens=start, num_blocks=num_blocks, block_size=tiny.RECIPE.block_size
    )
    passages = sorted(found.events[step], key=lambda passage: passage.start_tokens)
    assert sum(passage.num_tokens for passage in passages) == batch.inputs.size
    read = [p.name for p in passages for _ in range(p.num_tokens)]
    assert read == [stream.locate(start + n).name for n in range(batch.inputs.size)]
    assert found.order_is_known
    assert found.is_exact


def test_near_copies_on_both_sides_of_the_split_are_named(run: Path) -> None:
    texts = [prose(80, seed=seed // 2) + (" again" if seed % 2 else "") for seed in range(20)]
    (run.parent / "pairs.txt").write_text("\n\n".join(texts))
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["plan"]["data"] |= {"train": "../pairs.txt", "validation": 0.5, "loss_on": "all"}
    pairs = run.parent / "0008"
    pairs.mkdir()
    (pairs / "manifest.json").write_text(json.dumps(manifest))
    trial = read_trial(pairs)
    assert trial is not None

    found = read_trial_corpus(trial, {})

    corpus = read_corpus("pairs.txt", run.parent)
    split = split_documents(corpus.documents, validation=0.5, seed=0)
    sides = [{document.name for document in side} for side in (split.train, split.validation)]
    names = [document.name for document in corpus.documents]
    expected = {
        name
        for pair in zip(names[::2], names[1::2], strict=True)
        for name in pair
        if all(side & set(pair) for side in sides)
    }
    assert expected
    assert set(found.split_duplicates) == expected


def test_the_plan_of_a_users_command_has_no_corpus_of_ours(run: Path, tmp_path: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["plan"] |= {"model": None, "data": None}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert read_trial(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("", "not a manifest that this version reads"),
        ("{}", r"not a manifest that this version reads \(plan: "),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(CheckpointError, match=rf"manifest\.json: {message}"):
        read_trial(tmp_path)


def test_a_base_that_has_gone_is_named(run: Path, tmp_path: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["plan"]["data"]["train"] = "builtin:pydoc-qa"
    manifest["plan"]["model"] = "./gone"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    trial = read_trial(tmp_path)
    assert trial is not None
    with pytest.raises(BaseError, match=r"\./gone: it is not on this machine"):
        read_trial_corpus(trial, {})
