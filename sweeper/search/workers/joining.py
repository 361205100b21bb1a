"""A worker started by hand: it takes part in a study beside any others, here or elsewhere."""

from __future__ import annotations

import os
import time

from sweeper.errors import StorageAwayError
from sweeper.search.clock import StudyClock
from sweeper.search.progress import take_snapshot
from sweeper.search.runner import Observe, RunOutcome, Tell, make_stop_file
from sweeper.search.storages.patience import PATIENCE_SECONDS, Patience
from sweeper.search.store import StudyStore
from sweeper.search.workers.crew import single_crew
from sweeper.search.workers.orders import WorkOrder, raise_error_of
from sweeper.search.workers.pool import nursery_of
from sweeper.search.workers.signals import exit_code, leaving_signals
from sweeper.search.workers.trainers import new_trainer
from sweeper.search.workers.worker import train_trials
from sweeper.study import StudySpec


def join_study(spec: StudySpec, *, observe: Observe, tell: Tell) -> RunOutcome:
    """Train trials of a study for this process, in a child of it, until there is none left to take.

    The first to come makes the study. Trials that others are training then are theirs: whoever
    runs the study afterwards, or joins it, takes up what they leave behind.

    Args:
        spec: The study.
        observe: Called as often as leases are renewed with how the study stands.
        tell: Called while the storage's server is away, and while the base is being made.

    Raises:
        SweeperError: As the user must act: see `run_study`.
    """
    store = _opened(spec, tell)
    clock = StudyClock(store)
    stop_file = make_stop_file(spec)

    def stop(count: int) -> None:
        """First signal: leave after the step. Second: leave now."""
        stop_file.touch()
        if count > 1:
            os._exit(exit_code(received[0], os.environ))

    def keep_up() -> None:
        clock.save()
        observe(take_snapshot(store))

    with leaving_signals(stop) as received:
        try:
            new_trainer(spec).prepare(tell)
            setup = single_crew(spec).setup
            nursery = nursery_of(spec, setup.threads)
            order = WorkOrder(spec, setup, clock.deadline, stop_file, None, nursery)
            report = train_trials(order, keep_up)
            keep_up()
        finally:
            stop_file.unlink(missing_ok=True)
    raise_error_of(report)
    first = received[0] if received else None
    return RunOutcome(first, clock.left_s == 0 and first is None)


def _opened(spec: StudySpec, tell: Tell) -> StudyStore:
    """The study, once its storage's server answers: it may come later than its workers."""
    began = time.monotonic()

    def attempt() -> StudyStore:
        try:
            return StudyStore(spec, create=True)
        except StorageAwayError as error:
            waited_s = 1 + int(time.monotonic() - began)
            tell(f"{error}; waiting, seconds", waited_s, int(PATIENCE_SECONDS))
            raise

    return Patience().persist(attempt, StorageAwayError)
