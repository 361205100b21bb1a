"""Runs a study: prepares what its trials share, starts workers, and watches over them."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from optuna.exceptions import StorageInternalError

from sweeper.errors import WorkerError
from sweeper.search.artifacts.shipping import send_owed
from sweeper.search.clock import StudyClock
from sweeper.search.progress import Snapshot, take_snapshot
from sweeper.search.storages.opening import storage_error
from sweeper.search.store import StudyStore
from sweeper.search.workers.clusters import Cluster, cluster_of, is_on_cluster
from sweeper.search.workers.crew import Crew, choose_crew
from sweeper.search.workers.orders import WorkOrder, WorkReport, raise_error_of
from sweeper.search.workers.outpost import Mission, kept_fresh
from sweeper.search.workers.pool import PoolCrash, close_pool, run_in_workers, shared_nursery
from sweeper.search.workers.probing import MeasuringStopped
from sweeper.search.workers.signals import leaving_signals
from sweeper.search.workers.trainers import new_trainer
from sweeper.search.workers.worker import work
from sweeper.study import StudySpec

POLL_SECONDS = 0.5
# To look on takes from the trainers, where these have all cores: at most this share of one, unless
# that were less often than every so many seconds.
LOOKING_SHARE = 0.01
LONGEST_PAUSE_SECONDS = 5.0
SAVE_CLOCK_SECONDS = 20.0
CLUSTER_PATIENCE_SECONDS = 120.0
MAX_FRUITLESS_ROUNDS = 3  # rounds in which workers died and no trial moved

Observe = Callable[[Snapshot], None]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RunOutcome:
    """How a call of `run_study` ended.

    Attributes:
        signal: The signal that interrupted it; None where none did.
        wall_clock_spent: Whether the study's wall clock ended it.
        exhausted: Whether all of its space was tried before its trials were spent.
    """

    signal: int | None
    wall_clock_spent: bool
    exhausted: bool = False


def run_study(spec: StudySpec, *, observe: Observe, tell: Tell) -> RunOutcome:
    """Run a study, or go on with it, until its budget is spent or a signal comes.

    Args:
        spec: The study.
        observe: Called at most twice a second, once in a second or two, with how the study stands.
        tell: Called while the base is being made.

    Raises:
        SweeperError: As the user must act: a changed study file, a corpus or a
            base that cannot be used, a full disk, workers that keep dying.
    """
    return _Runner(spec, observe, tell).run()


class _Runner:
    def __init__(self, spec: StudySpec, observe: Observe, tell: Tell) -> None:
        self._spec = spec
        self._observe = observe
        self._tell = tell

    def run(self) -> RunOutcome:
        self._store = StudyStore(self._spec, create=True)
        send_owed(self._store)
        self._stop_file = make_stop_file(self._spec)
        self._clock = StudyClock(self._store)
        self._idle_since = time.monotonic()
        if self._is_anything_left():  # a study that is done needs neither torch nor its base
            # Here, so that one process makes what all workers share, and visibly.
            new_trainer(self._spec).prepare(self._tell)
        with leaving_signals(self._stop) as received:
            try:
                self._run_and_save_clock(received)
            except StorageInternalError as error:
                raise storage_error(error) from error
            finally:
                close_pool(kill=len(received) > 1)
                self._stop_file.unlink(missing_ok=True)
                fresh_file(self._stop_file).unlink(missing_ok=True)
        first = received[0] if received else None
        is_spent = self._clock.left_s == 0 and first is None
        return RunOutcome(first, is_spent, self._is_exhausted())

    def _is_exhausted(self) -> bool:
        is_short = len(self._store.trials()) < self._spec.budget.trials
        return is_short and self._store.is_exhausted()

    def _run_and_save_clock(self, received: list[int]) -> None:
        """What a study that failed has spent is spent."""
        try:
            self._run_rounds(received)
        finally:
            self._clock.save()

    def _run_rounds(self, received: list[int]) -> None:
        """A round ends when its workers have nothing left to do, or when one of them died."""
        fruitless = 0
        while not received and self._clock.left_s != 0 and self._is_anything_left():
            if not self._store.may_claim():
                time.sleep(POLL_SECONDS)
                continue
            before = self._moved()
            try:
                crashed = self._round()
            except MeasuringStopped:
                return
            fruitless = fruitless + 1 if crashed and self._moved() == before else 0
            if fruitless >= MAX_FRUITLESS_ROUNDS:
                raise WorkerError(
                    f"workers died {fruitless} times in a row before any trial moved: {crashed}. "
                    "Out of memory? Try --set workers.count=1"
                )

    def _is_anything_left(self) -> bool:
        """Whether there is a trial to take, or one that a worker elsewhere may leave behind."""
        snapshot = take_snapshot(self._store)
        self._observe(snapshot)
        return bool(snapshot.running) or self._store.may_claim()

    def _moved(self) -> tuple[int, int]:
        snapshot = take_snapshot(self._store)
        return snapshot.num_ended, snapshot.tokens

    def _round(self) -> str | None:
        """Start the workers and wait for them; the crash in words, None where none died."""
        crew = self._crew
        order = WorkOrder(
            spec=self._spec,
            setup=crew.setup,
            deadline=self._clock.deadline,
            stop_file=self._stop_file,
            parent_pid=os.getpid(),
        )
        with cluster_of(self._spec) as cluster:
            pool = _Pool(order, crew.count, self._spec.workers.backend, cluster)
            self._watch(pool)
        for report in pool.reports:
            raise_error_of(report)
        return pool.crash

    def _watch(self, pool: _Pool) -> None:
        """Until its workers have ended."""
        saved_at = time.monotonic()
        pause_s = POLL_SECONDS
        while not (pool.wait(pause_s) or self._is_hung(pool)):
            began_s = time.thread_time()
            self._observe(take_snapshot(self._store))
            needed_s = (time.thread_time() - began_s) / LOOKING_SHARE
            pause_s = min(max(needed_s, POLL_SECONDS), LONGEST_PAUSE_SECONDS)
            if time.monotonic() - saved_at > SAVE_CLOCK_SECONDS:
                self._clock.save()
                saved_at = time.monotonic()
        self._observe(take_snapshot(self._store))

    def _is_hung(self, pool: _Pool) -> bool:
        """Whether a cluster does not say that our workers have ended, who have nothing to do.

        Theirs only: loky's processes are watched by the system.
        """
        if not is_on_cluster(self._spec):
            return False
        if not self._stop_file.exists() and (self._store.may_claim() or self._is_anything_left()):
            self._idle_since = time.monotonic()
        return time.monotonic() - self._idle_since > CLUSTER_PATIENCE_SECONDS

    @cached_property
    def _crew(self) -> Crew:
        """Chosen when there is something to do: measuring takes seconds."""
        return choose_crew(self._spec, self._tell, self._stop_file)

    def _stop(self, count: int) -> None:
        """First signal: leave after the step. Second: leave now."""
        self._stop_file.touch()
        if count > 1:
            close_pool(kill=True)


def make_stop_file(spec: StudySpec) -> Path:
    """Where the file is to appear that has workers of ours leave, and nobody else's."""
    folder = spec.output_folder / "workers"
    folder.mkdir(exist_ok=True)
    return folder / f"{uuid.uuid4().hex[:12]}.stop"


def fresh_file(stop_file: Path) -> Path:
    """The file beside it that says that a run lives; see `outpost`."""
    return stop_file.with_suffix(".run")


class _Pool:
    """Workers of one round, waited for in a thread so that the main thread can look on."""

    def __init__(self, order: WorkOrder, count: int, backend: str, cluster: Cluster | None) -> None:
        self.reports: list[WorkReport] = []
        self.crash: str | None = None
        self._order = order
        self._count = count
        self._cluster = cluster
        self._defect: BaseException | None = None
        targets = {"inline": self._inline, "loky": self._loky}
        target = targets.get(backend, self._away)
        self._thread = threading.Thread(
            target=self._guard, args=(target,), name="pool", daemon=True
        )
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether all workers have ended, after waiting for at most so long.

        What a worker raised is raised here: a thread that dies silently would
        leave the study with trials to claim and nobody to say why none ends.
        """
        self._thread.join(seconds)
        if self._defect is not None:
            raise self._defect
        return not self._thread.is_alive()

    def _guard(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as defect:  # the thread's boundary: `wait` raises it again
            self._defect = defect

    def _inline(self) -> None:
        self.reports = [work(replace(self._order, parent_pid=None))]

    def _loky(self) -> None:
        threads = self._order.setup.threads
        orders = [
            replace(self._order, nursery=shared_nursery(self._order.spec, threads, worker))
            for worker in range(self._count)
        ]
        try:
            self.reports = run_in_workers(work, orders, threads)
        except PoolCrash as crash:
            self.crash = str(crash)

    def _away(self) -> None:
        assert self._cluster is not None, "workers elsewhere need a cluster"
        fresh = fresh_file(self._order.stop_file)
        with kept_fresh(fresh):
            mission = Mission.of(self._order, fresh)
            reports = self._cluster.run(mission, self._count)
        self.reports = [report for report in reports if not report.has_died]
        self.crash = next((report.error for report in reports if report.has_died), None)
