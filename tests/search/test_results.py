from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.curves import Point, StopReason, write_curve
from sweeper.errors import CheckpointError, NoCompletedTrialError, UsageError
from sweeper.search.claim import Claim
from sweeper.search.progress import take_snapshot
from sweeper.search.results import StudyResults, find_trial, importances_of, load_results
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from tests.search.fakes import claimed, result, run_faked, spec_at

pytestmark = pytest.mark.usefixtures("stored_in_memory")


def store_at(folder: Path, **changes: Any) -> StudyStore:
    return StudyStore(spec_at(folder, **changes), create=True)


def leave_curve(store: StudyStore, claim: Claim, *losses: float) -> None:
    folder = trial_folder(store.spec, claim.number)
    folder.mkdir(parents=True)
    points = [
        Point(step=i, tokens=i * 256, val_loss=loss, seconds=0.5 * i)
        for i, loss in enumerate(losses)
    ]
    write_curve(folder / "curve.jsonl", points)


@pytest.fixture
def results(tmp_path: Path) -> StudyResults:
    """0 completed, 1 spiked, 2 completed and better, 3 borrowed, 4 runs, 5 released, 6 waits."""
    store = store_at(
        tmp_path,
        budget={"trials": 7},
        search={"sampler": "list"},
        space={},
        trials=[{"rank": rank} for rank in (1, 3, 4, 5, 6, 7)],
    )
    claims = [claimed(store) for _ in range(6)]
    for claim in (claims[0], claims[1], claims[2], claims[4], claims[5]):
        leave_curve(store, claim, 6.0, 5.5)
    store.finish(claims[0], result(val_loss=5.0))
    store.finish(claims[1], result(StopReason.SPIKE, 3.0, tokens=512))
    store.finish(claims[2], result(val_loss=4.0))
    store.finish(claims[3], result(val_loss=4.0, tokens=0, same_as=2))
    store.release(claims[5])
    return load_results(store)


def test_states_and_endings(results: StudyResults) -> None:
    trials = results.trials

    assert [t.state for t in trials] == [*["ended"] * 4, "running", "waiting", "waiting"]
    assert [t.stop_reason for t in trials] == [
        StopReason.COMPLETED,
        StopReason.SPIKE,
        StopReason.COMPLETED,
        StopReason.COMPLETED,
        None,
        None,
        None,
    ]
    assert [t.val_loss for t in trials] == [5.0, 3.0, 4.0, 4.0, 5.5, 5.5, None]
    assert [t.tokens for t in trials] == [4000, 512, 4000, 0, 256, 256, 0]
    assert [t.seconds for t in trials] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.0]
    assert [t.hyperparameters["rank"] for t in trials] == [2, 1, 3, 4, 5, 6, 7]
    assert trials[6].tokens_per_s is None
    assert trials[0].tokens_per_s == 4000.0


def test_the_best_is_the_first_of_the_best_completed(results: StudyResults) -> None:
    assert results.best is results.trials[2]
    assert results.baseline is results.trials[0]
    assert [results.delta(trial) for trial in results.trials[:3]] == [0.0, -2.0, -1.0]


def test_a_borrower_shows_the_lenders_curve(results: StudyResults) -> None:
    assert results.trials[3].same_as == 2
    assert results.trials[3].curve == results.trials[2].curve


@pytest.mark.parametrize(("number", "found"), [(None, 2), (0, 0), (1, 1), (3, 2)])
def test_a_trial_is_found_by_its_number(
    results: StudyResults, number: int | None, found: int
) -> None:
    assert find_trial(results, number).number == found


@pytest.mark.parametrize("number", [4, 5, 6, 99, -1])
def test_a_trial_without_a_result_is_refused_with_those_that_have_one(
    results: StudyResults, number: int
) -> None:
    message = rf"--trial {number}: has no result to train again \(allowed: 0, 1, 2, 3\)"
    with pytest.raises(UsageError, match=message):
        find_trial(results, number)


def test_before_any_trial_completed_there_is_no_best(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.finish(claimed(store), result(StopReason.SPIKE))
    results = load_results(store)

    assert results.best is None
    with pytest.raises(NoCompletedTrialError, match="no trial of small has completed yet"):
        find_trial(results, None)
    with pytest.raises(UsageError, match="allowed: none yet"):
        find_trial(results, 0)


def test_a_damaged_curve_is_named(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    leave_curve(store, claimed(store), 6.0)
    path = trial_folder(store.spec, 0) / "curve.jsonl"
    path.write_text("{]\n" + path.read_text())

    with pytest.raises(CheckpointError, match=r"trials/0000/curve\.jsonl:1"):
        load_results(store)


def test_the_recorded_baseline_is_read_beside_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n0,9.227\n500,6.954\n")
    store = store_at(tmp_path, baseline={"recorded": "log.csv"})

    recorded = load_results(store).recorded

    assert recorded is not None
    assert [point.train_loss for point in recorded] == [9.227, 6.954]


def test_importances_need_some_trials_and_name_what_mattered(tmp_path: Path) -> None:
    store = store_at(tmp_path, budget={"trials": 3})
    run_faked(store)
    assert importances_of(store) == {}

    store = store_at(tmp_path, budget={"trials": 30})
    run_faked(store)
    shares = load_results(store).importances
    assert shares.keys() == {"learning_rate", "block_size", "rank"}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares, key=lambda name: shares[name]) == "learning_rate"


def test_importances_of_equal_losses_are_nothing(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    while (claim := store.claim("me")) is not None:
        store.finish(claim, result(val_loss=5.0))

    assert importances_of(store) == {}


def test_a_snapshot_counts_what_there_is(tmp_path: Path) -> None:
    store = store_at(tmp_path, budget={"trials": 4})
    claims = [claimed(store) for _ in range(3)]
    store.report(claims[0], 1000, 5.5)
    leave_curve(store, claims[2], 6.0, 5.5)
    store.finish(claims[1], result(StopReason.SPIKE, tokens=512))

    seen = take_snapshot(store)

    assert (seen.num_trials, seen.num_ended, dict(seen.ended)) == (4, 1, {StopReason.SPIKE: 1})
    assert [trial.number for trial in seen.running] == [0, 2]
    assert [trial.label for trial in seen.running] == ["baseline", ""]
    assert seen.tokens == 512 + 256
    assert (seen.best_number, seen.baseline_val_loss) == (None, 5.5)
    second = seen.running[1]
    assert (second.total_tokens, second.tokens_per_s) == (4000, 512.0)
    store.finish(claims[0], result(val_loss=5.0))
    seen = take_snapshot(store)
    assert (seen.best_number, seen.best_val_loss, seen.baseline_val_loss) == (0, 5.0, 5.0)
