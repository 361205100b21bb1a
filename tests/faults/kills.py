"""Processes killed and stopped at random steps."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

from sweeper.search.workers.orders import WorkOrder, WorkReport
from sweeper.study import StudySpec
from tests.faults.crew import (
    Terms,
    Worker,
    finish,
    prepared,
    progress_of,
    wait_for,
    worker,
)
from tests.faults.field import Field
from tests.faults.ground import scripted_study, trained_study
from tests.faults.invariants import Examination, Witness
from tests.faults.processes import is_alive, is_stopped
from tests.faults.program import Program, program
from tests.faults.tally import Tally, hold

_TRIALS = 12
_STEPS = 12  # of a trial
_STEP_S = 0.02  # about as long as a step takes, with what it writes
_LEASE_S = 1.5


def kill_workers(field: Field, strikes: int) -> Tally:
    """SIGKILL of a worker at any moment: starting, taking a trial, in a step, saving, telling."""
    random = Random(strikes)
    whole = field.whole(trained_study)
    tally = Tally()
    while tally.strikes < strikes:
        spec = field.struck(trained_study, tally.studies, _TRIALS)
        order, witness = prepared(spec), Witness(spec)
        while tally.strikes < strikes and kill_one(order, random):
            tally.strikes += 1
            witness.look()
        finish(order)
        witness.look()
        hold(tally, Examination(spec, whole))
    return tally


def kill_one(order: WorkOrder, random: Random) -> bool:
    """Start a worker and kill it; whether there was one left to kill."""
    with worker(order) as victim:
        if random.random() < 0.75:  # the others while they start
            _wait_for_steps(order.spec, lambda: not victim.is_alive, random)
        time.sleep(random.uniform(0, _STEP_S))
        return victim.kill()


def kill_children(field: Field, strikes: int) -> Tally:
    """SIGKILL of the child in which a worker trains: the worker goes on in another."""
    random = Random(strikes)
    whole = field.whole(trained_study)
    tally = Tally()
    while tally.strikes < strikes:
        spec = field.struck(trained_study, tally.studies, _TRIALS)
        order, witness = prepared(spec), Witness(spec)
        with worker(order, Terms(in_child=True)) as supervisor:
            while tally.strikes < strikes and supervisor.is_alive:
                _wait_for_steps(spec, lambda w=supervisor: not w.is_alive, random)
                time.sleep(random.uniform(0, _STEP_S))
                tally.strikes += _kill(supervisor.children())
                witness.look()
            assert supervisor.report() == WorkReport()
        witness.look()
        hold(tally, Examination(spec, whole))
    return tally


def kill_supervisors(field: Field, strikes: int) -> Tally:
    """SIGKILL of a worker that trains in a child: the child goes with it."""
    random = Random(strikes)
    whole = field.whole(trained_study)
    tally = Tally()
    while tally.strikes < strikes:
        spec = field.struck(trained_study, tally.studies, _TRIALS)
        order, witness = prepared(spec), Witness(spec)
        has_ended = False
        while tally.strikes < strikes and not has_ended:
            with worker(order, Terms(in_child=True)) as supervisor:
                _wait_for_steps(spec, lambda w=supervisor: not w.is_alive, random)
                time.sleep(random.uniform(0, _STEP_S))
                below = supervisor.below()
                has_ended = not supervisor.kill()
                wait_for(lambda pids=below: not any(map(is_alive, pids)))
            tally.strikes += not has_ended
            witness.look()
        finish(order)
        witness.look()
        hold(tally, Examination(spec, whole))
    return tally


def _kill(pids: list[int]) -> bool:
    """SIGKILL to one of some processes; whether there was one."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def _wait_for_steps(spec: StudySpec, has_ended: Callable[[], bool], random: Random) -> None:
    """Until it has come further by up to two trials, wherever in a step that is.

    By the curves' bytes and not by the clock: on a busy machine a trial that is struck too early
    each time would only be given up.
    """
    line_bytes = 60 if spec.command is not None else 150
    target = progress_of(spec) + line_bytes * random.randrange(2 * _STEPS)

    def has_come_so_far() -> bool:
        return has_ended() or progress_of(spec) > target

    wait_for(has_come_so_far)


def kill_programs(field: Field, strikes: int) -> Tally:
    """SIGKILL of `sweeper run` itself: its workers, and the commands they run, leave with it."""
    return _kill_program(field, strikes, lambda called: called.kill())


def kill_pool_workers(field: Field, strikes: int) -> Tally:
    """SIGKILL of a worker of the pool: `sweeper run` goes on with others."""
    return _kill_program(field, strikes, lambda called: _kill(called.workers()))


def kill_servers(field: Field, strikes: int) -> Tally:
    """SIGKILL of what all workers' children are forked from: they go with it, others come."""
    return _kill_program(field, strikes, lambda called: _kill(called.servers()))


def _kill_program(field: Field, strikes: int, kill: Callable[[Program], bool]) -> Tally:
    random = Random(strikes)
    workers = {"count": 2, "backend": "loky", "threads": 1}
    whole = field.whole(scripted_study)
    tally = Tally()
    while tally.strikes < strikes:
        spec = field.struck(scripted_study, tally.studies, _TRIALS, workers=workers)
        order, witness = prepared(spec), Witness(spec)
        while tally.strikes < strikes:
            with program(spec) as called:
                ended = _strike_until_it_ends(called, spec, kill, random, tally, strikes)
                wait_for(lambda: not called.left(), poll_s=0.1)
            witness.look()
            if ended:
                break
        finish(order)
        hold(tally, Examination(spec, whole))
    return tally


def _strike_until_it_ends(
    called: Program,
    spec: StudySpec,
    kill: Callable[[Program], bool],
    random: Random,
    tally: Tally,
    strikes: int,
) -> bool:
    """Whether the study came to its end; not where the program was killed."""
    while tally.strikes < strikes and not called.has_ended:
        _wait_for_steps(spec, lambda: called.has_ended, random)
        time.sleep(random.uniform(0, _STEP_S))
        tally.strikes += kill(called)
    code, said = called.wait()
    assert code in (0, -signal.SIGKILL), said
    return code == 0


def stop_past_lease(field: Field, strikes: int) -> Tally:
    """SIGSTOP for longer than a lease: another trains the trial, the sleeper finds it lost."""
    random = Random(strikes)
    whole = field.whole(trained_study)
    tally = Tally()
    while tally.strikes < strikes:
        spec = field.struck(trained_study, tally.studies, 4)
        order, witness = prepared(spec), Witness(spec)
        with worker(order, Terms(_LEASE_S)) as sleeper:
            _wait_for_steps(spec, lambda: not sleeper.is_alive, random)
            _stop_without_lock(sleeper, spec)
            time.sleep(_LEASE_S + 0.2)
            finish(order, Terms(_LEASE_S))
            witness.look()
            tally.strikes += sleeper.is_alive
            sleeper.signal(signal.SIGCONT)
            report = sleeper.report()
            assert report == WorkReport(), report
        witness.look()
        hold(tally, Examination(spec, whole))
    return tally


def _stop_without_lock(sleeper: Worker, spec: StudySpec) -> None:
    """Stop a worker where it holds no lock: with one, everybody waits until it goes on."""

    def is_stopped_without_lock() -> bool:
        sleeper.signal(signal.SIGSTOP)
        wait_for(lambda: is_stopped(sleeper.pid), poll_s=0.001)  # until then it may take a lock
        if _is_unlocked(spec):
            return True
        sleeper.signal(signal.SIGCONT)
        return False

    wait_for(is_stopped_without_lock)


def _is_unlocked(spec: StudySpec) -> bool:
    connection = sqlite3.connect(spec.output_folder / "study.db", timeout=0, isolation_level=None)
    try:
        with (spec.output_folder / "study.db-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except (BlockingIOError, sqlite3.OperationalError):
        return False
    finally:
        connection.close()
    return True
