"""The CPU time of processes that others started: a worker's child is its fork server's, and nobody
waits for a fork server. So the arm adopts what its workers leave behind (Linux).
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PATIENCE_S = 3.0
_PAUSE_S = 0.05


def adopt_orphans() -> None:
    """Be the parent of every descendant whose own parent ends before it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans() -> None:
    """Wait for those that end now, so that `os.times` knows what they took.

    Whoever goes on, such as a tracker of resources, is left alone after a while without any end.
    """
    last_end = time.monotonic()
    while time.monotonic() - last_end < _PATIENCE_S:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            last_end = time.monotonic()
        else:
            time.sleep(_PAUSE_S)
