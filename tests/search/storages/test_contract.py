"""What every storage must do for a study, whoever works on it at the time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from sweeper.curves import StopReason
from sweeper.errors import StudyChangedError
from sweeper.search import attributes as attrs
from sweeper.search.storages.together import set_together
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec
from tests.search.fakes import claimed, overwrite_lease, result, run_faked
from tests.search.storages.conftest import NewSpec

NUM_REAPERS = 6


def together(tasks: list[Callable[[], Any]]) -> list[Any]:
    """Do things in threads that begin at once; gives their answers in the order of the tasks."""
    start = threading.Barrier(len(tasks))
    answers: dict[int, Any] = {}

    def do(place: int) -> None:
        start.wait()
        answers[place] = tasks[place]()

    threads = [threading.Thread(target=do, args=(place,)) for place in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[place] for place in range(len(tasks))]


def stores(spec: StudySpec, count: int) -> list[StudyStore]:
    return [StudyStore(spec, create=False) for _ in range(count)]


def test_a_whole_study_is_there_when_it_is_opened_again(new_spec: NewSpec) -> None:
    spec = new_spec()
    done = run_faked(StudyStore(spec, create=True))

    again = StudyStore(spec, create=True)

    trials = again.trials()
    assert [trial.number for trial in trials] == [claim.number for claim in done] == list(range(6))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert [t.value for t in trials] == [t.user_attrs[attrs.VAL_LOSS] for t in trials]
    assert all(list(trial.intermediate_values) == [1000, 4000] for trial in trials)
    assert trials[0].user_attrs[attrs.BASELINE] is True
    assert again.claim("me") is None


def test_recipes_and_stops_come_back_as_they_were_written(new_spec: NewSpec) -> None:
    spec = new_spec()
    store = StudyStore(spec, create=True)
    claims = [claimed(store) for _ in range(3)]
    assert store.finish(claims[1], result(StopReason.SPIKE, val_loss=7.5, overflow=8))
    assert store.finish(claims[2], result(StopReason.ERROR, val_loss=None))

    trials = StudyStore(spec, create=False).trials()

    recipes = [claim.hyperparameters.model_dump(mode="json") for claim in claims]
    assert [trial.user_attrs[attrs.HYPERPARAMETERS] for trial in trials] == recipes
    states = [TrialState.RUNNING, TrialState.PRUNED, TrialState.FAIL]
    assert [trial.state for trial in trials] == states
    assert trials[1].user_attrs[attrs.EVIDENCE] == "it was spike"
    assert trials[1].constraints[attrs.VIOLATION] == 10.0
    assert trials[1].user_attrs[attrs.OVERFLOW]["micro_batch"] == 8


def test_another_study_file_is_refused(new_spec: NewSpec) -> None:
    StudyStore(new_spec(), create=True)

    with pytest.raises(StudyChangedError, match="seed: 3 -> 4"):
        StudyStore(new_spec(seed=4), create=True)


def test_a_study_made_by_many_at_once_is_one(new_spec: NewSpec) -> None:
    spec = new_spec(hypotheses=[{"name": "small", "change": {"block_size": 16}}])

    made = together([lambda: StudyStore(spec, create=True)] * 4)

    assert [len(store.trials()) for store in made] == [2] * 4


def test_no_trial_is_had_twice_nor_one_too_many(new_spec: NewSpec) -> None:
    spec = new_spec(budget={"trials": 6})
    StudyStore(spec, create=True)

    done = together([lambda s=store: run_faked(s) for store in stores(spec, 3)])  # type: ignore[misc]

    assert sorted(claim.number for claims in done for claim in claims) == list(range(6))


def test_an_ended_lease_is_reclaimed_by_one_of_many(new_spec: NewSpec) -> None:
    spec = new_spec(budget={"trials": 1})
    first = StudyStore(spec, create=True)
    claimed(first, "gone")
    overwrite_lease(first, 0, expires_at=0.0)
    reapers = stores(spec, NUM_REAPERS)

    got = together([lambda i=i: reapers[i].claim(f"reaper {i}") for i in range(NUM_REAPERS)])  # type: ignore[misc]

    assert [claim.number for claim in got if claim is not None] == [0]
    trial = first.trials()[0]
    assert trial.user_attrs[attrs.CRASHES] == 1
    winner = next(i for i in range(NUM_REAPERS) if got[i] is not None)
    assert trial.user_attrs[attrs.LEASE]["owner"] == f"reaper {winner}"


def test_a_trial_that_keeps_killing_is_given_up_by_one_of_many(new_spec: NewSpec) -> None:
    spec = new_spec(budget={"trials": 1}, workers={"retries": 0})
    first = StudyStore(spec, create=True)
    claimed(first, "gone")
    overwrite_lease(first, 0, expires_at=0.0)

    got = together([lambda s=s: s.claim("reaper") for s in stores(spec, NUM_REAPERS)])  # type: ignore[misc]

    assert got == [None] * NUM_REAPERS
    trial = first.trials()[0]
    assert trial.state is TrialState.FAIL
    assert trial.user_attrs[attrs.STOP_REASON] == "error"


def test_who_lost_the_lease_says_nothing_more(new_spec: NewSpec) -> None:
    spec = new_spec()
    slow, quick = StudyStore(spec, create=True), StudyStore(spec, create=False)
    lost = claimed(slow, "slow")
    assert slow.report(lost, 1000, 5.5)
    overwrite_lease(slow, 0, expires_at=0.0)
    held = claimed(quick, "quick")
    assert held.number == lost.number

    assert not slow.report(lost, 2000, 1.0)
    assert not slow.renew(lost)
    assert not slow.finish(lost, result(val_loss=1.0))
    slow.release(lost)

    assert quick.renew(held)
    assert quick.finish(held, result(val_loss=5.0))
    assert not slow.report(lost, 3000, 1.0)
    assert not slow.finish(lost, result(val_loss=1.0))
    trial = StudyStore(spec, create=False).trials()[0]
    assert (trial.value, trial.intermediate_values) == (5.0, {1000: 5.5})


def test_a_released_trial_goes_on_elsewhere_and_did_not_crash(new_spec: NewSpec) -> None:
    spec = new_spec()
    here, there = StudyStore(spec, create=True), StudyStore(spec, create=False)
    claim = claimed(here)
    here.release(claim)

    again = claimed(there, "there")

    assert again.number == claim.number
    assert again.hyperparameters == claim.hyperparameters
    assert there.trials()[0].user_attrs[attrs.CRASHES] == 0


def test_tokens_of_a_study_are_never_exceeded_by_many(new_spec: NewSpec) -> None:
    spec = new_spec(budget={"trials": 100, "tokens": 3 * 4_000})
    StudyStore(spec, create=True)

    done = together([lambda s=store: run_faked(s) for store in stores(spec, 3)])  # type: ignore[misc]

    assert sum(map(len, done)) == 3


def test_attributes_that_are_set_together_are_all_there_or_none(new_spec: NewSpec) -> None:
    spec = new_spec()
    store = StudyStore(spec, create=True)
    claim, other = claimed(store), claimed(store)
    store.annotate(claim, {"text": "a", "list": [1, None], "number": 0.1})
    store.annotate(claim, {"text": "ä 'quoted'", "more": {"x": True}})
    (seen,) = stores(spec, 1)
    found = seen.trials()[claim.number].user_attrs
    expected = {"text": "ä 'quoted'", "list": [1, None], "number": 0.1, "more": {"x": True}}
    assert {key: found[key] for key in expected} == expected
    assert "text" not in seen.trials()[other.number].user_attrs

    assert store.finish(claim, result(val_loss=5.0))
    with pytest.raises(UpdateFinishedTrialError):
        set_together(store.storage, claim.trial_id, {"text": "b", "late": 1})
    ended = StudyStore(spec, create=False).trials()[claim.number].user_attrs
    assert ended["text"] == "ä 'quoted'"
    assert "late" not in ended
