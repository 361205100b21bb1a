from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from sweeper.curves import StopReason
from sweeper.errors import StorageError, StudyChangedError
from sweeper.search import attributes as attrs
from sweeper.search.leases import LEASE_SECONDS, Lease, this_machine
from sweeper.search.outcomes import violation
from sweeper.search.progress import take_snapshot
from sweeper.search.storage import storage_address
from sweeper.search.store import StudyStore
from tests.search.fakes import claimed, overwrite_lease, result, run_faked, spec_at, trained

RETRIES = 2

FIXED: dict[str, Any] = {
    "hypotheses": [
        {"name": "small blocks", "change": {"block_size": 16}},
        {"name": "off the map", "change": {"learning_rate": 5.0}},
    ],
    "budget": {"trials": 12},
}


def open_at(folder: Path, **changes: Any) -> StudyStore:
    return StudyStore(spec_at(folder, **changes), create=True)


def in_another_process(folder: Path, times: int) -> subprocess.Popen[str]:
    code = f"from tests.search.fakes import claim_and_print as c; c({str(folder)!r}, {times})"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )


# ---------------------------------------------------------------------- creating


@pytest.mark.usefixtures("stored_in_memory")
def test_the_baseline_comes_first_then_hypotheses_then_the_list(tmp_path: Path) -> None:
    store = open_at(
        tmp_path,
        **FIXED,
        space={},
        search={"sampler": "list"},
        trials=[{"rank": 3}, {"rank": 4}],
    )

    claims = [claimed(store) for _ in range(5)]

    assert [claim.number for claim in claims] == [0, 1, 2, 3, 4]
    assert [claim.is_baseline for claim in claims] == [True, False, False, False, False]
    assert [c.hypothesis for c in claims] == [None, "small blocks", "off the map", None, None]
    assert [c.is_protected for c in claims] == [True, True, True, False, False]
    assert claims[1].hyperparameters.block_size == 16
    assert claims[2].hyperparameters.learning_rate == 5.0
    assert [c.hyperparameters.rank for c in claims] == [2, 2, 2, 3, 4]
    assert {c.hyperparameters.seed for c in claims} == {3}
    assert store.claim("me") is None


@pytest.mark.usefixtures("stored_in_memory")
def test_optuna_knows_of_a_fixed_trial_what_its_space_contains(tmp_path: Path) -> None:
    store = open_at(tmp_path, **FIXED)
    for _ in range(3):
        claimed(store)

    drawn = [trial.params for trial in store.trials()]

    assert drawn[0] == {"block_size": 32, "learning_rate": 1e-3, "rank": 2}
    assert drawn[1] == {"block_size": 16, "learning_rate": 1e-3, "rank": 2}
    assert drawn[2] == {"block_size": 32, "rank": 2}


@pytest.mark.parametrize("num_left", [0, 1, 2])
def test_a_creation_that_was_killed_is_completed(tmp_path: Path, num_left: int) -> None:
    whole = open_at(tmp_path / "whole", **FIXED)
    spec = spec_at(tmp_path / "killed", **FIXED)
    spec.output_folder.mkdir(parents=True)
    study = optuna.create_study(storage=storage_address(spec).url, study_name=spec.folder_name)
    for trial in whole.trials()[:num_left]:
        study.enqueue_trial(trial.system_attrs["fixed_params"], user_attrs=trial.user_attrs)

    store = StudyStore(spec, create=True)
    StudyStore(spec, create=True)

    assert [t.user_attrs for t in store.trials()] == [t.user_attrs for t in whole.trials()]
    assert [t.system_attrs for t in store.trials()] == [t.system_attrs for t in whole.trials()]


@pytest.mark.usefixtures("stored_in_memory")
def test_another_study_file_is_refused_with_the_difference(tmp_path: Path) -> None:
    open_at(tmp_path)

    with pytest.raises(StudyChangedError) as caught:
        open_at(tmp_path, space={"rank": {"low": 1, "high": 8}}, seed=4)

    lines = str(caught.value).splitlines()
    assert "  seed: 3 -> 4" in lines
    assert "  space.rank.high: 4 -> 8" in lines
    assert any(line.startswith("  space.learning_rate:") for line in lines)
    assert "reports/small" in lines[-1]


@pytest.mark.usefixtures("stored_in_memory")
@pytest.mark.parametrize(
    "changes",
    [
        {"budget": {"trials": 9}},
        {"budget": {"tokens": 40_000}},
        {"budget": {"wall_clock": "5min"}},
        {"workers": {"count": 2, "backend": "loky"}},
    ],
)
def test_what_does_not_change_the_trials_may_change(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    claimed(open_at(tmp_path))

    assert len(open_at(tmp_path, **changes).trials()) == 1


def test_a_study_that_was_never_run_says_so(tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    for changes in ({}, {"storage": elsewhere}):
        with pytest.raises(StorageError, match=r"small has not been run yet.*sweeper run study"):
            StudyStore(spec_at(tmp_path, **changes), create=False)
    assert list(tmp_path.iterdir()) == []  # and nothing was made by asking


def test_a_study_missing_from_a_shared_storage_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    open_at(tmp_path, storage=url)
    (tmp_path / "reports" / "other").mkdir()

    with pytest.raises(StorageError, match="other is not in this storage"):
        StudyStore(spec_at(tmp_path, storage=url, name="other"), create=False)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    spec = spec_at(tmp_path)
    spec.output_folder.mkdir(parents=True)
    (spec.output_folder / "study.db").write_text("not a database, though long enough" * 100)

    with pytest.raises(StorageError, match=r"study\.db in small/ cannot be used"):
        StudyStore(spec, create=True)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")

    with pytest.raises(StorageError, match="reports/small cannot be written"):
        open_at(tmp_path)


# ---------------------------------------------------------------------- taking trials


def test_workers_never_get_the_same_trial_nor_one_too_many(tmp_path: Path) -> None:
    spec = spec_at(tmp_path, budget={"trials": 12})
    StudyStore(spec, create=True)
    got: list[int] = []

    def take(name: str) -> None:
        store = StudyStore(spec, create=False)
        while (claim := store.claim(name)) is not None:
            got.append(claim.number)

    threads = [threading.Thread(target=take, args=(f"worker {i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(got) == list(range(12))


def test_a_trial_that_ends_is_never_taken_on_its_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker asks for a trial just before the last write of the one that ends."""
    store = open_at(tmp_path)
    other = StudyStore(store.spec, create=False)
    ending = claimed(store)
    taken: list[int] = []
    asking = threading.Thread(target=lambda: taken.append(claimed(other, "you").number))
    write = store.storage.set_trial_state_values

    def write_slowly(trial_id: int, state: TrialState, values: Any = None) -> bool:
        if state.is_finished():
            asking.start()
            asking.join(0.3)  # time enough to take it, were it to be had
        return write(trial_id, state, values)

    monkeypatch.setattr(store.storage, "set_trial_state_values", write_slowly)
    assert store.finish(ending, result())
    asking.join()

    assert taken == [1]
    assert store.trials()[0].state is TrialState.COMPLETE


@pytest.mark.usefixtures("stored_in_memory")
def test_an_end_that_was_cut_off_before_its_last_write_is_told_by_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at(tmp_path)
    claim = claimed(store)

    def fail(*_: object) -> bool:
        raise OSError("cut off")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="cut off"):
        patch.setattr(store.storage, "set_trial_state_values", fail)
        store.finish(claim, result(val_loss=5.0))

    assert store.trials()[0].state is TrialState.RUNNING
    assert store.finish(claim, result(val_loss=5.0))
    assert (store.trials()[0].state, store.trials()[0].value) == (TrialState.COMPLETE, 5.0)
    assert not store.finish(claim, result(val_loss=1.0))  # it has ended


@pytest.mark.usefixtures("stored_in_memory")
def test_a_trial_that_is_being_trained_is_not_taken(tmp_path: Path) -> None:
    store = open_at(tmp_path)

    one, other = claimed(store, "me"), claimed(store, "you")

    assert (one.number, other.number) == (0, 1)
    assert store.renew(one)


def test_the_trials_of_dead_processes_are_taken_at_once(tmp_path: Path) -> None:
    """Two processes compete for trials and die holding them."""
    store = open_at(tmp_path, budget={"trials": 12})
    processes = [in_another_process(tmp_path, 3) for _ in range(2)]
    held = [int(p.stdout.readline()) for p in processes if p.stdout for _ in range(3)]
    for process in processes:  # both hold theirs until here
        process.communicate(timeout=60)
    assert sorted(held) == [0, 1, 2, 3, 4, 5]
    recipes = {t.number: t.user_attrs[attrs.HYPERPARAMETERS] for t in store.trials()}

    taken = [claimed(store) for _ in range(12)]

    assert [claim.number for claim in taken] == list(range(12))
    assert all(
        claim.hyperparameters.model_dump(mode="json") == recipes[claim.number]
        for claim in taken[:6]
    )
    crashes = [trial.user_attrs.get(attrs.CRASHES, 0) for trial in store.trials()]
    assert crashes == [1] * 6 + [0] * 6
    assert store.claim("me") is None


def test_processes_of_a_host_of_the_same_name_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Lease.new("me", now=0.0)
    dead = replace(mine, pid=2**22 + 1)
    assert dead.is_free(1.0)
    for elsewhere in ("_boot_id", "_process_namespace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"sweeper.search.leases.{elsewhere}", lambda: "another")
            this_machine.cache_clear()
            assert not dead.is_free(1.0)
            assert dead.is_free(LEASE_SECONDS + 1)
        this_machine.cache_clear()
    assert not mine.is_free(1.0)


@pytest.mark.usefixtures("stored_in_memory")
def test_a_lease_elsewhere_holds_until_it_ends(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    claimed(store)
    overwrite_lease(store, 0, host="another machine", pid=1, expires_at=time.time() + 60)

    assert claimed(store).number == 1

    overwrite_lease(store, 0, expires_at=time.time() - 1)
    assert claimed(store).number == 0


@pytest.mark.usefixtures("stored_in_memory")
def test_a_number_that_another_process_has_by_now_is_no_holder(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    claimed(store)
    assert store.trials()[0].user_attrs[attrs.LEASE]["host"] == this_machine()
    overwrite_lease(store, 0, pid=os.getpid(), process_started="1")

    assert claimed(store).number == 0


@pytest.mark.usefixtures("stored_in_memory")
def test_a_trial_that_keeps_killing_its_workers_is_given_up(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    claimed(store)
    for crash in range(1, RETRIES + 1):
        overwrite_lease(store, 0, expires_at=0.0)
        assert claimed(store).number == 0
        assert store.trials()[0].user_attrs[attrs.CRASHES] == crash
    overwrite_lease(store, 0, expires_at=0.0)
    trained(store, 0, 1_700, kept=1_000)

    assert claimed(store).number == 1

    poison = store.trials()[0]
    assert poison.state is TrialState.FAIL
    assert poison.user_attrs[attrs.STOP_REASON] == "error"
    assert poison.user_attrs[attrs.EVIDENCE] == "its worker died 3 times while training it"
    assert (poison.user_attrs[attrs.TOKENS], poison.user_attrs[attrs.SECONDS]) == (1_000, 1.0)
    assert poison.user_attrs[attrs.LOST_TOKENS] == 700
    assert poison.user_attrs[attrs.LOST_SECONDS] == pytest.approx(0.7)


@pytest.mark.usefixtures("stored_in_memory")
def test_a_released_trial_is_taken_again_and_did_not_crash(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    claim = claimed(store)
    for _ in range(RETRIES + 2):
        store.release(claim)
        assert store.may_claim()
        claim = claimed(store, "next")
        assert claim.number == 0

    assert store.trials()[0].user_attrs[attrs.CRASHES] == 0


def test_an_abandoned_trial_is_taken_again_and_did_crash(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    claim = claimed(store)
    store.abandon(claim)
    assert not store.renew(claim)  # a renewal under way does not bring it back

    again = claimed(store)

    assert again.number == 0
    assert store.trials()[0].user_attrs[attrs.CRASHES] == 1


@pytest.mark.usefixtures("stored_in_memory")
def test_who_lost_a_lease_changes_nothing(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    lost = claimed(store, "slow")
    overwrite_lease(store, 0, expires_at=0.0)
    held = claimed(store, "quick")
    assert held.number == lost.number
    before = store.trials()[0].user_attrs

    assert not store.renew(lost)
    assert not store.finish(lost, result())
    store.release(lost)

    assert store.trials()[0].user_attrs == before
    assert store.trials()[0].state is TrialState.RUNNING
    assert store.finish(held, result())
    assert not store.finish(held, result(val_loss=1.0))
    assert store.trials()[0].value == 5.0


@pytest.mark.usefixtures("stored_in_memory")
def test_renewing_moves_the_end_of_the_lease(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    claim = claimed(store)
    overwrite_lease(store, 0, expires_at=1.0)

    assert store.renew(claim)

    assert store.trials()[0].user_attrs[attrs.LEASE]["expires_at"] > time.time()


# ---------------------------------------------------------------------- budgets


@pytest.mark.usefixtures("stored_in_memory")
def test_the_budget_of_trials_can_grow(tmp_path: Path) -> None:
    assert len(run_faked(open_at(tmp_path, budget={"trials": 2}))) == 2
    assert len(run_faked(open_at(tmp_path, budget={"trials": 2}))) == 0

    assert [c.number for c in run_faked(open_at(tmp_path, budget={"trials": 4}))] == [2, 3]


@pytest.mark.usefixtures("stored_in_memory")
def test_the_budget_of_tokens_is_never_exceeded(tmp_path: Path) -> None:
    """12,000 tokens are three whole trials at a time, and more where some end early."""
    store = open_at(tmp_path, budget={"trials": 50, "tokens": 12_000})
    running = [claimed(store) for _ in range(3)]
    assert store.claim("me") is None
    store.finish(running[0], result(StopReason.SPIKE, tokens=1_500))
    assert store.claim("me") is None  # 1,500 + 2 * 4,000 + 4,000 are too many
    store.finish(running[1], result(StopReason.SPIKE, tokens=2_500))

    assert claimed(store).number == 3
    assert store.claim("me") is None


@pytest.mark.usefixtures("stored_in_memory")
def test_a_lent_result_costs_no_tokens(tmp_path: Path) -> None:
    store = open_at(tmp_path, budget={"trials": 50, "tokens": 4_000})
    claim = claimed(store)
    store.finish(claim, result(tokens=0, same_as=0))

    assert store.may_ask()


# ---------------------------------------------------------------------- telling


@pytest.mark.parametrize("reason", list(StopReason))
def test_every_ending_reaches_optuna_in_its_state(tmp_path: Path, reason: StopReason) -> None:
    store = open_at(tmp_path)
    claim = claimed(store)
    store.report(claim, 1000, 5.5)
    broken = reason in {StopReason.NON_FINITE, StopReason.OUT_OF_MEMORY, StopReason.ERROR}

    assert store.finish(claim, result(reason, None if broken else 5.0, best_val_loss=4.5))

    trial = store.trials()[0]
    told = {
        StopReason.COMPLETED: (TrialState.COMPLETE, 5.0),
        StopReason.ERROR: (TrialState.FAIL, None),
    }
    assert (trial.state, trial.value) == told.get(reason, (TrialState.PRUNED, 5.5))
    assert trial.user_attrs[attrs.STOP_REASON] == reason.value
    assert trial.user_attrs[attrs.VAL_LOSS] == (None if broken else 5.0)
    (violated,) = trial.constraints.values()
    harmless = {StopReason.COMPLETED, StopReason.TIMEOUT, StopReason.ERROR}
    assert math.isfinite(violated)
    assert (violated == 0) if reason in harmless else (violated > 0)


def test_worse_endings_violate_more() -> None:
    plateaus = [
        violation(result(StopReason.PLATEAU, loss, best_val_loss=4.0)) for loss in (3.9, 4.1, 6.0)
    ]
    spikes = [
        violation(result(StopReason.SPIKE, loss, best_val_loss=4.0)) for loss in (3.9, 7.0, 12.0)
    ]
    broken = violation(result(StopReason.NON_FINITE, None, best_val_loss=4.0))

    ranked = [0.0, *plateaus, *spikes, broken]
    assert ranked == sorted(ranked)
    assert plateaus[0] > 0
    assert plateaus[-1] < spikes[0]
    assert spikes[-1] < broken


# ---------------------------------------------------------------------- the same experiment


TWINS = [
    {"name": "8 x 4", "change": {"batch_size": 8, "accumulation": 4}},
    {"name": "32 x 1", "change": {"batch_size": 32, "accumulation": 1}},
    {"name": "16 x 2", "change": {"batch_size": 16, "accumulation": 2}},
    {"name": "noisy", "change": {"accumulation": 4, "dropout": 0.1}},
]


def twins(folder: Path, num: int = 4) -> StudyStore:
    """A study of the baseline and some of these alone."""
    return open_at(folder, hypotheses=TWINS[:num], budget={"trials": 1 + num})


@pytest.mark.usefixtures("stored_in_memory")
def test_the_same_effective_batch_is_the_same_experiment(tmp_path: Path) -> None:
    store = twins(tmp_path)
    store.finish(claimed(store), result())
    first = claimed(store)
    assert store.same_experiment(first) is None
    store.finish(first, result())

    lenders = [store.same_experiment(claimed(store)) for _ in range(3)]

    assert [None if trial is None else trial.number for trial in lenders] == [1, 1, None]


def test_an_equal_trial_waits_while_one_is_in_hand(tmp_path: Path) -> None:
    """Of 1, 2 and 3, one experiment, one is trained; 4 is another and goes ahead."""
    store, other = twins(tmp_path), twins(tmp_path)
    held = [claimed(store, "one"), claimed(other, "other"), claimed(store, "one")]
    assert [claim.number for claim in held] == [0, 1, 4]
    assert store.claim("one") is None
    assert not store.may_claim()
    assert [trial.number for trial in take_snapshot(store).running] == [0, 1, 4]

    other.finish(held[1], result())

    for number in (2, 3):
        claim = claimed(store, "one")
        lender = store.same_experiment(claim)
        assert claim.number == number
        assert lender is not None
        assert lender.number == 1
        store.finish(claim, result(tokens=0, same_as=1))


@pytest.mark.usefixtures("stored_in_memory")
@pytest.mark.parametrize("fate", ["fails", "dies", "leaves"])
def test_an_equal_trial_is_trained_where_the_first_gave_no_result(
    tmp_path: Path, fate: str
) -> None:
    store = twins(tmp_path, 2)
    store.finish(claimed(store), result())
    first = claimed(store, "one")
    assert store.claim("other") is None

    match fate:
        case "fails":
            store.finish(first, result(StopReason.ERROR, None))
        case "dies":
            overwrite_lease(store, first.number, expires_at=0.0)
        case "leaves":
            store.release(first)

    second = claimed(store, "other")
    assert store.same_experiment(second) is None
    assert store.claim("one") is None, "that it was left, or that it waits: one is in hand"
    if fate == "fails":
        assert second.number == 2
    else:
        assert second.number == first.number, "it goes on from where it was"
    store.finish(second, result(StopReason.SPIKE))
    if fate != "fails":
        assert store.same_experiment(claimed(store, "other")) is None
    assert store.claim("one") is None


@pytest.mark.usefixtures("stored_in_memory")
def test_waiting_is_no_crash(tmp_path: Path) -> None:
    store = twins(tmp_path, 2)
    first = [claimed(store) for _ in range(2)][1]
    for _ in range(5):
        assert store.claim("other") is None
    store.finish(first, result(StopReason.ERROR, None))
    second = claimed(store, "other")
    assert store.trials()[second.number].user_attrs[attrs.CRASHES] == 0


@pytest.mark.usefixtures("stored_in_memory")
def test_only_a_trial_that_completed_lends(tmp_path: Path) -> None:
    store = twins(tmp_path)
    store.finish(claimed(store), result())
    store.finish(claimed(store), result(StopReason.SPIKE))

    assert store.same_experiment(claimed(store)) is None


@pytest.mark.usefixtures("stored_in_memory")
def test_a_trial_that_borrowed_does_not_lend(tmp_path: Path) -> None:
    """The files lie with another one."""
    store = twins(tmp_path)
    store.finish(claimed(store), result())
    store.finish(claimed(store), result(tokens=0, same_as=0))

    assert store.same_experiment(claimed(store)) is None
