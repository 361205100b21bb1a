"""A worker started by hand: it takes part in a study, and leaves when it is told to."""

from __future__ import annotations

import signal

import pytest
from optuna.trial import TrialState

from sweeper.search import attributes as attrs
from sweeper.search.progress import Snapshot
from sweeper.search.runner import RunOutcome
from sweeper.search.store import StudyStore
from sweeper.search.workers.joining import join_study
from sweeper.study import StudySpec
from tests.search.conftest import NewStudy
from tests.search.fakes import claimed
from tests.search.test_runner import (
    DEADLINE_S,
    UNPRUNED,
    curves,
    program,
    run_to_the_end,
    some_checkpoint,
    wait_for,
)


def join(spec: StudySpec) -> tuple[RunOutcome, list[Snapshot]]:
    seen: list[Snapshot] = []
    return join_study(spec, observe=seen.append, tell=lambda *_: None), seen


@pytest.mark.usefixtures("stored_in_memory")
def test_the_first_worker_makes_the_study_and_leaves_others_their_trials(
    new_study: NewStudy,
) -> None:
    spec = new_study(budget={"trials": 3})
    other = StudyStore(spec, create=True)
    claim = claimed(other, "a worker elsewhere")

    outcome, seen = join(spec)

    assert outcome == RunOutcome(None, False)
    states = [trial.state for trial in other.trials()]
    assert states == [TrialState.RUNNING, TrialState.COMPLETE, TrialState.COMPLETE]
    assert seen[-1].num_ended == 2
    other.release(claim)
    assert join(spec)[0] == RunOutcome(None, False)
    assert [trial.state for trial in other.trials()] == [TrialState.COMPLETE] * 3
    assert not list((spec.output_folder / "workers").iterdir())


@pytest.mark.usefixtures("stored_in_memory")
def test_a_spent_wall_clock_is_everybodys(new_study: NewStudy) -> None:
    spec = new_study(budget={"wall_clock": "1min"})
    store = StudyStore(spec, create=True)
    store.study.set_user_attr(attrs.SECONDS_SPENT, 60.0)

    assert join(spec)[0] == RunOutcome(None, True)
    assert all(trial.state is TrialState.WAITING for trial in store.trials())


def test_a_preempted_worker_says_so_and_the_study_goes_on_as_if_nothing_had_been(
    new_study: NewStudy,
) -> None:
    alone = {**UNPRUNED, "budget": {"trials": 1, "tokens_per_trial": 12_000}}
    whole, spec = new_study("whole", **alone), new_study("left", **alone)
    run_to_the_end(whole)

    with program(spec, "worker") as process:
        wait_for(some_checkpoint(spec), but=process.poll)
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 75, err
    assert "kept to their last step" in err
    assert "Traceback" not in out + err
    left = [t for t in StudyStore(spec, create=False).trials() if not t.state.is_finished()]
    assert left[0].user_attrs[attrs.LEASE] is None
    join(spec)
    assert curves(spec) == curves(whole)
