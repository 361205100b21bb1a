"""A worker: takes trials from the study as its trainer has room for them, and settles them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sweeper.curves import Point, Stop, StopReason
from sweeper.errors import StorageAwayError, WorkerError
from sweeper.search import attributes as attrs
from sweeper.search.artifacts.shipping import Shipping
from sweeper.search.audit import Audit
from sweeper.search.claim import Claim
from sweeper.search.outcomes import Result
from sweeper.search.peers import peers_of
from sweeper.search.storage import CRASH_LOG, newest_point, trial_folder
from sweeper.search.storages.patience import Patience
from sweeper.search.store import StudyStore
from sweeper.search.workers.books import Books
from sweeper.search.workers.child import ChildDied
from sweeper.search.workers.desk import Task, TrialLost, train_at
from sweeper.search.workers.holding import Holding
from sweeper.search.workers.nursery import Nursery
from sweeper.search.workers.orders import STUDY_ERRORS, WorkOrder, WorkReport
from sweeper.search.workers.supervision import train_in_child
from sweeper.search.workers.timesheets import Timesheet
from sweeper.search.workers.worker_process import following, quiet_signals, was_told_to_stop
from sweeper.training.outcome import Outcome

MAX_FRUITLESS_CHILDREN = 3  # that died in a row without a point of any trial


def work(order: WorkOrder) -> WorkReport:
    """Train trials for another process until the budget is spent, or somebody says stop.

    A user's error comes back as a value: exceptions do not always survive the
    way between processes.
    """
    with following(order.parent_pid), quiet_signals():
        return train_trials(order)


def train_trials(order: WorkOrder, keep_up: Callable[[], None] = lambda: None) -> WorkReport:
    """Train trials here until the budget is spent, or somebody says stop.

    Args:
        order: What to work on.
        keep_up: Called as often as leases are renewed, in a thread.
    """
    try:
        _Worker(order, keep_up).run()
    except STUDY_ERRORS as error:
        return WorkReport.of_error(error, order.spec)
    return WorkReport()


class _Worker:
    """Stands at the desk: holds the trials in hand, and alone writes to the study's storage."""

    def __init__(self, order: WorkOrder, keep_up: Callable[[], None]) -> None:
        self._order = order
        self._keep_up = keep_up
        self._spec = order.spec
        self._owner = f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._error: Exception | None = None
        self._claims: dict[int, Claim] = {}
        self._num_alone: int | None = None  # trials still to be trained alone; None: not alone
        self._num_points = 0

    def run(self) -> None:
        sheet = Timesheet(self._spec, self._owner, self._tell_seconds)
        if self._order.nursery is not None:
            self._order.nursery.open()  # it gets ready while the study is opened
        self._store = self._opened()
        self._shipping = Shipping(self._store, lambda: self._leave() is not None)

        def keep_up() -> None:
            sheet.save()
            self._keep_up()

        hand_over, deliver = self._shipping.hand_over, self._shipping.deliver
        with sheet, self._shipping, Holding(self._store, keep_up, hand_over) as self._holding:
            self._books = Books(self._store, self._holding, self._order.stop_file, deliver)
            if self._order.nursery is None:
                train_at(self, self._spec, self._order.setup)
            else:
                self._train_in_children(self._order.nursery)
        if self._error is not None:
            raise self._error

    def _opened(self) -> StudyStore:
        """The study, once its storage's server answers."""

        def has_to_leave() -> bool:
            return self._leave() is not None

        return Patience(has_to_leave=has_to_leave).persist(
            lambda: StudyStore(self._spec, create=False, has_to_leave=has_to_leave),
            StorageAwayError,
        )

    def _tell_seconds(self, seconds: float) -> None:
        if self._spec.artifacts is not None:  # else everybody sees the sheet
            self._store.study.set_user_attr(f"{attrs.WORKER_SECONDS}{self._owner}", seconds)

    def _train_in_children(self, nursery: Nursery) -> None:
        """In one child, and in another where one has died or trials had to be alone."""
        log = self._spec.output_folder / "workers" / f"{self._owner}.log"
        fruitless = 0
        while True:
            before = self._num_points
            setup = self._order.setup
            if self._num_alone is not None:
                setup = replace(setup, slots=1)
            try:
                train_in_child(self, self._spec, setup, nursery, log, lambda: [*self._claims])
            except ChildDied as died:
                fruitless = fruitless + 1 if self._num_points == before else 0
                self._leave_behind(died)
                if fruitless >= self._most_fruitless():
                    raise WorkerError(
                        f"training processes died {fruitless} times in a row before any trial "
                        f"moved: {died}. Out of memory? Try --set workers.count=1"
                    ) from died
            else:
                if self._num_alone is None:
                    return
                self._num_alone = None

    def _most_fruitless(self) -> int:
        """Children that may die in a row: where one has trained before, a bad trial's share more.

        It is given up after so many retries, and the study goes on with the next.
        """
        for_one_trial = self._spec.workers.retries + 2 if self._num_points else 0
        return max(MAX_FRUITLESS_CHILDREN, for_one_trial)

    def _leave_behind(self, died: ChildDied) -> None:
        """Have the trials of a child that died begun again: alone, as one of them is to blame."""
        if self._order.setup.slots > 1 and self._claims:
            self._num_alone = len(self._claims)
        with self._study_errors():
            for claim in list(self._claims.values()):
                self._note_crash(claim, died)
                self._forget(claim)
                self._holding.abandon(claim)

    def _note_crash(self, claim: Claim, died: ChildDied) -> None:
        newest = newest_point(self._spec, claim.number)
        step = "before its first step" if newest is None else f"after step {newest.step}"
        folder = trial_folder(self._spec, claim.number)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / CRASH_LOG).open("a", encoding="utf-8") as log:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            log.write(f"{now}  {died} {step}\n{died.log}")

    def take(self) -> Task | None:
        """See `Desk.take`."""
        if self._num_alone == 0:
            return None  # a child with all seats takes the next
        with self._study_errors():
            while self._leave() is None:
                self._holding.renew()
                claim = self._store.claim(self._owner)
                if claim is None:
                    return None
                self._holding.add(claim)
                self._shipping.bring(claim)
                same = self._store.same_experiment(claim)
                if same is not None:
                    self._books.lend(claim, same.number, same.user_attrs)
                elif refusal := self._store.memory_refusal(claim):
                    self._books.end(claim, Result(refusal, None, 0, 0.0))
                else:
                    return self._begin(claim)
        return None

    def _begin(self, claim: Claim) -> Task:
        folder = trial_folder(self._spec, claim.number)
        manifest = folder.relative_to(self._spec.output_folder) / "manifest.json"
        self._store.annotate(claim, {attrs.MANIFEST: manifest.as_posix()})
        self._shipping.begin(claim)
        self._claims[claim.number] = claim
        return Task(claim.number, claim.hyperparameters, folder, claim.is_protected)

    def _forget(self, claim: Claim) -> None:
        self._claims.pop(claim.number, None)

    @contextmanager
    def _study_errors(self) -> Iterator[None]:
        """Keep an error that ends the study here, for when the other trials have left too.

        A server that is away is none to a worker that was asked to leave: what it has not said
        of a trial that goes on elsewhere, the end of its lease says.
        """
        try:
            yield
        except STUDY_ERRORS as error:
            if self._leave() is None or not self._store.is_away(error):
                self._error = self._error or error

    def _leave(self) -> Stop | None:
        """Why this worker should stop after its present step, if it should."""
        if self._error is not None:
            return Stop(StopReason.PREEMPTED, "the study cannot go on")
        if self._order.stop_file.exists() or was_told_to_stop():
            return Stop(StopReason.PREEMPTED, "interrupted")
        parent = self._order.parent_pid
        if parent is not None and os.getppid() != parent:
            return Stop(StopReason.PREEMPTED, "the process that started this worker is gone")
        if self._order.deadline is not None and time.time() > self._order.deadline:
            return Stop(StopReason.TIMEOUT, "the study's wall clock is spent")
        return None

    def interrupt(self, number: int) -> Stop | None:
        """See `Desk.interrupt`."""
        if not self.holds(number):
            return Stop(StopReason.PREEMPTED, "another worker took the trial over")
        return self._leave()

    def show(self, number: int, point: Point) -> None:
        """See `Desk.show`."""
        self._num_points += 1
        if not self.holds(number):
            raise TrialLost(f"trial {number}")
        with self._study_errors():
            self._books.report(self._claims[number], point)

    def holds(self, number: int) -> bool:
        """Whether a trial in hand is still this worker's; see `Holding.has_lost`."""
        return not self._holding.has_lost(self._claims[number])

    def ask_peers(self, number: int, question: str, *arguments: Any) -> Any:
        """See `Desk.ask_peers`."""
        return getattr(peers_of(self._store, self._claims[number]), question)(*arguments)

    def note_audit(self, number: int, audit: Audit) -> None:
        """See `Desk.note_audit`."""
        with self._study_errors():
            self._store.note_audit(self._claims[number], audit)

    def settle(self, number: int, ended: Outcome | Exception) -> None:
        """See `Desk.settle`: tell the study, or leave the trial to whoever comes next."""
        claim = self._claims.pop(number)
        if self._num_alone:
            self._num_alone -= 1
        with self._study_errors():
            if isinstance(ended, Exception) and self._holding.has_lost(claim):
                self._shipping.forget(claim)
                self._holding.drop(claim)  # its files are another's, and may have met with theirs
            elif isinstance(ended, STUDY_ERRORS):
                self._error = self._error or ended
                self._holding.release(claim)
            elif isinstance(ended, Exception):  # a defect is this trial's failure
                self._books.fail(claim, ended)
            elif ended.stop.reason is StopReason.PREEMPTED:
                self._holding.release(claim)
            else:
                self._books.finish(claim, ended)
