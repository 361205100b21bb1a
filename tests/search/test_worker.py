"""A worker with several trials in hand: each ends by itself, and all leave together."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState

from sweeper.curves import Point, Stop, StopReason, read_curve
from sweeper.search import attributes as attrs
from sweeper.search.monitor import Monitor
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.search.workers import worker as worker_module
from sweeper.search.workers.holding import Holding
from sweeper.search.workers.orders import WorkOrder, WorkReport
from sweeper.search.workers.timesheets import worker_seconds
from sweeper.search.workers.worker import work
from sweeper.study import StudySpec
from sweeper.training import packs
from sweeper.training.engine import Pack
from sweeper.training.packed.engine import PackedEngine
from sweeper.training.setup import Setup
from sweeper.training.workbench import Workbench
from tests.search.conftest import NewStudy
from tests.search.fakes import overwrite_lease, trained
from tests.training.rows import Row

NUM_TRIALS = 5
SLOTS = 3


class Scripted(Row):
    """A pack on which something happens after a round."""

    after_round: Callable[[int], None] = staticmethod(lambda number: None)

    def apply(self, learning_rates: Any) -> None:
        super().apply(learning_rates)
        type(self).after_round(len(self.steps))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Lets something happen after a round, given its number from 1."""

    def new_pack(_: str, bench: Workbench, slots: int = 1) -> Pack:
        return Scripted(bench, slots)

    monkeypatch.setattr(packs, "new_pack", new_pack)

    def write(after_round: Callable[[int], None]) -> None:
        monkeypatch.setattr(Scripted, "after_round", staticmethod(after_round))

    return write


@pytest.fixture
def spec(new_study: NewStudy) -> StudySpec:
    """Five trials of 8, 16 or 32 steps, so that seats are filled beside others in training."""
    return new_study(
        budget={"trials": NUM_TRIALS},
        prune={"spike": "off", "plateau": "off"},
        space={"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "batch_size": [4, 16]},
    )


def order_for(spec: StudySpec) -> WorkOrder:
    StudyStore(spec, create=True)
    return WorkOrder(spec, Setup(1, SLOTS), None, spec.folder / "stop", None)


def trials_of(spec: StudySpec) -> list[Any]:
    return StudyStore(spec, create=False).trials()


def states(spec: StudySpec) -> list[TrialState]:
    return [trial.state for trial in trials_of(spec)]


def points_of(spec: StudySpec) -> list[list[dict[str, object]]]:
    """Every trial's points without the only field that may differ."""
    return [
        [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in (trial_folder(spec, number) / "curve.jsonl").read_text().splitlines()
        ]
        for number in range(NUM_TRIALS)
    ]


def assert_left_to_others(spec: StudySpec, *numbers: int) -> None:
    trials = trials_of(spec)
    for number in numbers:
        assert trials[number].state is TrialState.RUNNING
        assert trials[number].user_attrs[attrs.LEASE] is None
        assert trials[number].user_attrs.get(attrs.CRASHES, 0) == 0
        assert (trial_folder(spec, number) / "checkpoint").is_dir()


def assert_all_complete(spec: StudySpec) -> None:
    trials = trials_of(spec)
    assert [t.state for t in trials] == [TrialState.COMPLETE] * NUM_TRIALS
    assert [t.user_attrs.get(attrs.CRASHES, 0) for t in trials] == [0] * NUM_TRIALS


@pytest.fixture
def whole(spec: StudySpec, new_study: NewStudy, script: object) -> list[list[dict[str, object]]]:
    """The points of all trials where nothing happens."""
    same = spec.at(spec.folder / "whole" / spec.path.name)
    shutil.copytree(spec.folder, same.folder, ignore=shutil.ignore_patterns("whole"))
    assert work(order_for(same)) == WorkReport()
    return points_of(same)


def test_a_study_is_worked_through_by_a_real_pack(
    spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    together: list[int] = []
    real = PackedEngine.accumulate

    def accumulate(pack: PackedEngine, batches: Any) -> Any:
        together.append(len(batches))
        return real(pack, batches)

    monkeypatch.setattr(PackedEngine, "accumulate", accumulate)
    assert work(order_for(spec)) == WorkReport()
    assert_all_complete(spec)
    assert together[0] == SLOTS
    assert work(order_for(spec)) == WorkReport()
    assert len(trials_of(spec)) == NUM_TRIALS


def test_an_interruption_is_everybodys_and_nothing_is_lost(
    spec: StudySpec, whole: list[Any], script: Callable[..., None]
) -> None:
    order = order_for(spec)
    script(lambda number: order.stop_file.touch() if number == 7 else None)

    assert work(order) == WorkReport()

    assert_left_to_others(spec, 0, 1, 2)
    assert len(trials_of(spec)) == SLOTS
    for number in range(SLOTS):
        assert len(read_curve(trial_folder(spec, number) / "curve.jsonl").points) == 8
    order.stop_file.unlink()
    script(lambda _: None)
    assert work(order) == WorkReport()
    assert_all_complete(spec)
    assert points_of(spec) == whole


def test_a_spent_wall_clock_ends_every_trial_after_the_step_in_hand(
    spec: StudySpec, script: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until its end no step more is taken, and no trial more is begun."""
    clock = SimpleNamespace(now=0.0, time=lambda: clock.now)
    monkeypatch.setattr(worker_module, "time", clock)
    script(lambda number: setattr(clock, "now", 60.0 if number >= 7 else 59.0))

    assert work(replace(order_for(spec), deadline=59.5)) == WorkReport()

    trials = trials_of(spec)
    assert [trial.user_attrs[attrs.STOP_REASON] for trial in trials] == ["timeout"] * SLOTS
    for number in range(SLOTS):
        assert len(read_curve(trial_folder(spec, number) / "curve.jsonl").points) == 8


def raise_at(monkeypatch: pytest.MonkeyPatch, number: int, step: int, error: Exception) -> None:
    """Let the watch of a trial, counted in the order in which they begin, raise at a step, once."""
    made: list[Monitor] = []
    new, update = Monitor.__post_init__, Monitor.update
    left = [error]

    def post_init(monitor: Monitor) -> None:
        made.append(monitor)
        new(monitor)

    def fail(monitor: Monitor, point: Point) -> Stop | None:
        if point.step == step and made.index(monitor) == number and left:
            raise left.pop()
        return update(monitor, point)

    monkeypatch.setattr(Monitor, "__post_init__", post_init)
    monkeypatch.setattr(Monitor, "update", fail)


@pytest.mark.usefixtures("script")
def test_a_defect_is_one_trials_failure(
    spec: StudySpec, whole: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    raise_at(monkeypatch, 1, 4, ZeroDivisionError("a defect"))

    assert work(order_for(spec)) == WorkReport()

    complete, failed = TrialState.COMPLETE, TrialState.FAIL
    assert states(spec) == [complete, failed, complete, complete, complete]
    assert "ZeroDivisionError" in (trial_folder(spec, 1) / "error.txt").read_text()
    found = points_of(spec)
    assert [found[n] for n in (0, 2, 3, 4)] == [whole[n] for n in (0, 2, 3, 4)]
    assert found[1] == whole[1][:4]


@pytest.mark.usefixtures("script")
def test_a_full_disk_is_everybodys_and_nothing_is_lost(
    spec: StudySpec, whole: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/far/away/curve.jsonl")
    raise_at(monkeypatch, 1, 4, full)

    report = work(order_for(spec))

    assert report.exit_code == 1
    assert report.error is not None
    assert report.error.startswith("curve.jsonl cannot be written or read (No space left")
    assert_left_to_others(spec, 0, 1, 2)
    assert work(order_for(spec)) == WorkReport()
    assert_all_complete(spec)
    assert points_of(spec) == whole


@pytest.mark.usefixtures("script")
def test_a_failed_baseline_ends_the_study_and_leaves_the_others(
    spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    raise_at(monkeypatch, 0, 4, ZeroDivisionError("a defect"))
    order = order_for(spec)

    report = work(order)

    assert report.error is not None
    assert report.error.startswith("the baseline failed")
    assert states(spec)[0] is TrialState.FAIL
    assert_left_to_others(spec, 1, 2)
    assert order.stop_file.exists()  # the other workers leave too


def test_a_lost_lease_ends_its_trial_alone(
    spec: StudySpec, script: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Seen(Holding):
        def __enter__(self) -> Holding:
            holdings.append(self)
            return super().__enter__()

    holdings: list[Holding] = []
    monkeypatch.setattr(worker_module, "Holding", Seen)
    order = order_for(spec)
    store = StudyStore(spec, create=False)

    def lose(number: int) -> None:
        if number == 4:
            overwrite_lease(store, 1, owner="another")
            holdings[0].renew()

    script(lose)
    assert work(order) == WorkReport()

    complete, running = TrialState.COMPLETE, TrialState.RUNNING
    assert states(spec) == [complete, running, complete, complete, complete]
    assert trials_of(spec)[1].user_attrs[attrs.LEASE]["owner"] == "another"
    # The step in hand is not written down: the file is the other worker's.
    assert len(read_curve(trial_folder(spec, 1) / "curve.jsonl").points) == 4


def test_a_suspended_worker_does_not_take_its_own_trials_twice(
    spec: StudySpec, script: Callable[..., None]
) -> None:
    """All its leases are over whenever it asks for another trial."""
    order = order_for(spec)
    store = StudyStore(spec, create=False)

    def suspend(_: int) -> None:
        for trial in store.trials():
            if trial.state is TrialState.RUNNING:
                overwrite_lease(store, trial.number, expires_at=0.0)

    script(suspend)
    assert work(order) == WorkReport()
    assert_all_complete(spec)


@pytest.mark.usefixtures("script")
def test_one_experiment_in_two_guises_is_trained_once_though_there_is_room_for_both(
    new_study: NewStudy,
) -> None:
    """A trial that was begun before, under a version that trained both, has its tokens counted."""
    spec = new_study(
        space={},
        search={"sampler": "list"},
        trials=[{"batch_size": 4, "accumulation": 2}, {"learning_rate": 2e-3}],
        budget={"trials": 3},
    )
    order = order_for(spec)
    trained(StudyStore(spec, create=False), 1, 900)
    assert work(order) == WorkReport()
    trials = trials_of(spec)
    assert [trial.user_attrs[attrs.SAME_AS] for trial in trials] == [None, 0, None]
    assert trials[1].value == trials[0].value
    assert trials[1].user_attrs[attrs.LOST_TOKENS] == 900


@pytest.mark.usefixtures("script")
def test_an_audited_trial_goes_on_to_its_end_and_says_from_where(
    new_study: NewStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = new_study(budget={"trials": 2}, prune={"audit": "100%"})
    update = Monitor.update

    def stop_from_step_3(monitor: Monitor, point: Point) -> Stop | None:
        stop = update(monitor, point)
        jumped = point.step >= 3 and not monitor.protected
        return Stop(StopReason.SPIKE, "it jumped") if jumped else stop

    monkeypatch.setattr(Monitor, "update", stop_from_step_3)
    assert work(order_for(spec)) == WorkReport()

    baseline, audited = trials_of(spec)
    assert attrs.AUDIT not in baseline.user_attrs
    assert audited.user_attrs[attrs.STOP_REASON] == "completed"
    assert audited.user_attrs[attrs.AUDIT]["reason"] == "spike"
    points = read_curve(trial_folder(spec, 1) / "curve.jsonl").points
    assert audited.user_attrs[attrs.AUDIT]["tokens"] == points[3].tokens
    assert worker_seconds(spec) > 0
