"""A recorded run, trained again in a fresh process from its manifest alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sweeper.curves.comparison import Sameness
from sweeper.errors import CheckpointError, SweeperError
from sweeper.training.reproduction import Reproduction, reproduce
from sweeper.training.trial import plan_run, run_plan
from sweeper.training.watches import Lookout
from tests import tiny
from tests.training.conftest import never

RECIPE = tiny.recipe(dropout=0.1, train_also="norms")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ground with base, corpus and one run of three steps in it."""
    folder = tmp_path_factory.mktemp("recorded")
    bench = tiny.new_bench(folder)
    plan = plan_run(bench, RECIPE, 192, folder / "runs" / "0")
    run_plan(plan, bench, bench.new_engine(), Lookout(), never, folder / "runs" / "0")
    return folder


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Path:
    """A copy of that ground's run, all of whose paths lead into the copy."""
    shutil.copytree(recorded, tmp_path / "ground")
    return tmp_path / "ground" / "runs" / "0"


def again(run: Path) -> Reproduction:
    before = sorted(path.name for path in run.parent.iterdir())
    reproduction = reproduce(run, lambda _: None)
    assert sorted(path.name for path in run.parent.iterdir()) == before
    return reproduction


def edit_curve(run: Path, step: int, by: float) -> None:
    path = run / "curve.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[step]["train_loss"] += by
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_run_comes_again_bit_for_bit(run: Path) -> None:
    found = again(run)
    assert found.comparison.sameness is Sameness.BIT_EXACT
    assert (found.comparison.num_points, found.comparison.first_difference) == (4, "")
    assert (found.is_same, found.changed) == (True, ())
    assert found.expected_val_loss == found.found_val_loss is not None


@pytest.mark.usefixtures("reproduced_here")
def test_small_difference_is_within_tolerance_and_named(run: Path) -> None:
    edit_curve(run, 2, 1e-6)
    found = again(run)
    assert found.comparison.sameness is Sameness.WITHIN_TOLERANCE
    assert found.is_same
    assert found.comparison.largest_difference == pytest.approx(1e-6, rel=1e-3)
    assert found.comparison.first_difference.startswith("step 2: train loss")


@pytest.mark.usefixtures("reproduced_here")
def test_changed_corpus_fails_and_says_so(run: Path) -> None:
    corpus = run.parent.parent / "qa.md"
    corpus.write_text(corpus.read_text().replace("What is", "Which is"))
    found = again(run)
    assert found.comparison.sameness is Sameness.FAIL
    assert not found.is_same
    assert "corpus" in [line.split(":")[0] for line in found.changed]
    assert found.comparison.first_difference.startswith("step 0: val loss")


@pytest.mark.usefixtures("reproduced_here")
def test_large_difference_fails_and_names_its_step(run: Path) -> None:
    edit_curve(run, 3, 0.1)
    found = again(run)
    assert found.comparison.sameness is Sameness.FAIL
    assert found.changed == ()
    assert found.comparison.first_difference.startswith("step 3: train loss")
    assert found.comparison.largest_difference == pytest.approx(0.1, rel=1e-6)


@pytest.mark.usefixtures("reproduced_here")
def test_run_that_cannot_be_trained_again_says_why(run: Path) -> None:
    (run.parent.parent / "qa.md").unlink()
    with pytest.raises(SweeperError, match=r"the new run failed: .*qa\.md"):
        again(run)


@pytest.mark.parametrize("name", ["manifest.json", "curve.jsonl"])
def test_run_without_its_files_is_refused(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        again(run)
