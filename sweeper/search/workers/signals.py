"""Signals that ask a study to leave, and the exit codes that say so."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: the same call again goes on
LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
# srun passes on a signal that its task has got from Slurm as well: that is one, not a second.
_ECHO_SECONDS = 1.0
# Both send SIGTERM before they take a machine away, and set these for all that they start.
_SCHEDULERS = ("SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST")


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Have a scheduler's signals end the program where it stands, with the exit code that says so.

    For what comes before and after `leaving_signals`. The system's own answer would be another
    code, and none at all from the first process of a container, which ignores what it does not
    handle: it would go on until it is killed.
    """

    def leave(number: int, _: object) -> None:
        # Not by an exception: where one comes into a finalizer or a callback, it is lost.
        os._exit(exit_code(number, os.environ))

    before = {number: signal.signal(number, leave) for number in LEAVING if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def leaving_signals(stop: Callable[[int], None]) -> Iterator[list[int]]:
    """Collect the signals that ask to leave, in the order in which they come; echoes left out.

    Outside the main thread none is collected: they are the main thread's business.

    Args:
        stop: Told each time how many have come.
    """
    received: list[int] = []
    came_at: dict[int, float] = {}
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def handle(number: int, _: object) -> None:
        before_s, came_at[number] = came_at.get(number, -math.inf), time.monotonic()
        if number != signal.SIGINT and came_at[number] - before_s < _ECHO_SECONDS:
            return
        received.append(number)
        stop(len(received))

    before = {number: signal.signal(number, handle) for number in LEAVING}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code(number: int, environment: Mapping[str, str]) -> int:
    """What a program says that left after a signal: 128 and its number, or 75 when preempted.

    SIGUSR1 is a notice by agreement (`#SBATCH --signal=USR1@120`); SIGTERM is one under Slurm and
    Kubernetes. A person who cancels a job there cannot be told apart, and does not ask for it
    to be begun again either.
    """
    scheduled = any(name in environment for name in _SCHEDULERS)
    if number == signal.SIGUSR1 or (number == signal.SIGTERM and scheduled):
        return PREEMPTED
    return 128 + number
