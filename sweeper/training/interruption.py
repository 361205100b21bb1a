"""SIGINT and SIGTERM, for a run that wants to leave in good order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sweeper.curves import Stop, StopReason
from sweeper.training.trainer import Interrupt


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """The first SIGINT or SIGTERM ends the run after a checkpoint; the second at once."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _: object) -> None:
        came.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, handle)
    try:
        yield lambda: Stop(StopReason.PREEMPTED, "interrupted") if came.is_set() else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
