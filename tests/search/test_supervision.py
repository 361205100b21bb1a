"""A worker whose training process dies: its trials go on in another, as if nothing had been."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from sweeper.curves import Point, Stop, StopReason
from sweeper.search import attributes as attrs
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.search.workers import supervision
from sweeper.search.workers import worker as worker_module
from sweeper.search.workers.desk import Task
from sweeper.search.workers.orders import WorkOrder, WorkReport
from sweeper.search.workers.pool import nursery_of
from sweeper.search.workers.supervision import RemoteDesk
from sweeper.search.workers.worker import work
from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.setup import Setup
from tests.faults.processes import children_of, fork_servers_of
from tests.search.conftest import NewStudy
from tests.search.test_runner import curves

pytestmark = pytest.mark.usefixtures("stored_in_memory")

NUM_TRIALS = 3
# Sixty steps: a child goes on while its points are read, and must not be done before it is struck.
TOKENS_PER_TRIAL = 16_000


def spec_of(new_study: NewStudy, name: str) -> StudySpec:
    budget = {"trials": NUM_TRIALS, "tokens_per_trial": TOKENS_PER_TRIAL}
    workers = {"hang": {"factor": 2, "at_least": 4}}
    prune = {"spike": "off", "plateau": "off"}
    return new_study(name, budget=budget, prune=prune, workers=workers)


def order_for(spec: StudySpec, *, slots: int = 2) -> WorkOrder:
    StudyStore(spec, create=True)
    (spec.output_folder / "workers").mkdir()
    order = WorkOrder(spec, Setup(1, slots), None, spec.folder / "stop", None)
    return replace(order, nursery=nursery_of(spec, 1))


def children() -> list[int]:
    """Forked for this process."""
    return [pid for server in fork_servers_of(os.getpid()) for pid in children_of(server)]


def kill_children() -> None:
    for child in children():
        os.kill(child, signal.SIGKILL)


def when_shown(monkeypatch: pytest.MonkeyPatch, do: Callable[[int, Point], None]) -> None:
    show = worker_module._Worker.show

    def look(worker: worker_module._Worker, number: int, point: Point) -> None:
        show(worker, number, point)
        do(number, point)

    monkeypatch.setattr(worker_module._Worker, "show", look)


def test_a_stop_counts_for_the_time_that_the_trial_was_taken_for_whichever_is_read_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervision, "listen", lambda *_: None)
    calls, its_calls = multiprocessing.Pipe()
    desk = RemoteDesk(its_calls, its_calls)
    task = Task(3, Hyperparameters(), Path("trial"), is_protected=False)
    stop = Stop(StopReason.PREEMPTED, "interrupted")
    with calls, its_calls:
        desk._obey(supervision._StopOrder(3, 1, stop))
        calls.send(supervision._Answer(task))

        assert desk.interrupt(3) is None  # it is not here yet
        assert desk.take() == task
        assert desk.interrupt(3) == stop
        calls.send(supervision._Answer(task))
        assert desk.take() == task
        assert desk.interrupt(3) is None  # it was for the last time


@pytest.fixture
def whole(new_study: NewStudy) -> StudySpec:
    """The study without a child, where nothing happens."""
    spec = spec_of(new_study, "whole")
    assert work(replace(order_for(spec), nursery=None)) == WorkReport()
    return spec


def test_trials_of_a_child_that_was_killed_or_hangs_go_on_alone_and_come_to_the_same(
    new_study: NewStudy, whole: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(new_study, "killed")
    left = {(0, 5): signal.SIGKILL, (2, 6): signal.SIGSTOP}

    def strike(number: int, point: Point) -> None:
        for child in children() if (number, point.step) in left else ():
            os.kill(child, left.pop((number, point.step)))

    when_shown(monkeypatch, strike)

    assert work(order_for(spec)) == WorkReport()

    trials = StudyStore(spec, create=False).trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * NUM_TRIALS
    assert all(trial.user_attrs[attrs.CRASHES] >= 1 for trial in trials)
    same = [trial.value for trial in StudyStore(whole, create=False).trials()]
    # What was trained beside another is not the same to the last bit.
    assert [trial.value for trial in trials] == pytest.approx(same, abs=1e-6)
    steps = [[point["step"] for point in curve] for curve in curves(spec).values()]
    assert steps == [[*range(len(curve))] for curve in curves(whole).values()]
    told = (trial_folder(spec, 0) / "crashes.log").read_text()
    assert "it was killed (SIGKILL" in told
    assert "after step" in told
    assert "it hung: no step for" in (trial_folder(spec, 2) / "crashes.log").read_text()
    assert not [*(spec.output_folder / "workers").iterdir()]


def test_a_child_that_hangs_after_its_last_trial_is_given_up(
    new_study: NewStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(new_study, "done")
    settle = worker_module._Worker.settle
    stopped: list[int] = []

    def settle_and_stop(worker: worker_module._Worker, number: int, ended: object) -> None:
        if number == NUM_TRIALS - 1:
            stopped.extend(children())
            for child in stopped:
                os.kill(child, signal.SIGSTOP)
        settle(worker, number, ended)  # type: ignore[arg-type]

    monkeypatch.setattr(worker_module._Worker, "settle", settle_and_stop)

    assert work(order_for(spec, slots=1)) == WorkReport()

    assert stopped
    trials = StudyStore(spec, create=False).trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * NUM_TRIALS


def test_a_child_that_always_dies_ends_the_worker(
    new_study: NewStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(new_study, "deadly")
    take = worker_module._Worker.take

    def take_and_kill(worker: worker_module._Worker) -> object:
        task = take(worker)
        kill_children()
        return task

    monkeypatch.setattr(worker_module._Worker, "take", take_and_kill)

    report = work(order_for(spec, slots=1))

    assert report.error is not None
    assert report.error.startswith("training processes died 3 times in a row before any trial")
    assert StudyStore(spec, create=False).trials()[0].state is TrialState.RUNNING
