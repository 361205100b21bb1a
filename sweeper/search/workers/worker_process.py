"""The process in which a worker runs: whom it works for, and what signals mean to it."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sweeper.search.workers.signals import LEAVING

PARENT_CHECK_SECONDS = 1.0

_busy = threading.Lock()  # held while this process works on a study
_followed: set[int] = set()
_stop_signals = threading.Event()


@contextmanager
def following(parent_pid: int | None) -> Iterator[None]:
    """While this process works for another, which it ends soon after; None for nobody."""
    if parent_pid is not None:
        _follow_parent(parent_pid)
    with _busy:
        yield


def _follow_parent(parent_pid: int) -> None:
    """End this process soon after its parent, once no trial is being trained in it.

    A pool's worker would otherwise wait for tasks from a parent that was killed.
    """
    if parent_pid in _followed:
        return
    _followed.add(parent_pid)
    atexit.register(gc.freeze)  # its parent waits for its end: not for a search for garbage

    def follow() -> None:
        while os.getppid() == parent_pid:
            time.sleep(PARENT_CHECK_SECONDS)
        with _busy:  # the trial in hand leaves by itself, after a checkpoint
            os._exit(0)

    threading.Thread(target=follow, name="follow-parent", daemon=True).start()


def tell_to_stop() -> None:
    """Have the worker of this process leave as if it had been signalled."""
    _stop_signals.set()


def was_told_to_stop() -> bool:
    """Whether a signal to leave came while signals were quiet."""
    return _stop_signals.is_set()


@contextmanager
def quiet_signals() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal, but the parent decides; others are for us.

    In a thread (the inline backend) signals are the main thread's business.
    """
    _stop_signals.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, lambda *_: _stop_signals.set()) for n in LEAVING}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
