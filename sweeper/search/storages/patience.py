"""Trying again while a server is away: with pauses that grow, and not for ever."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError

PATIENCE_SECONDS = 300.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 15.0

_Answer = TypeVar("_Answer")


class Patience:
    """Does again what a storage failed in; it must be safe to do twice.

    Args:
        seconds: How long to go on trying; 0: the first failure is final.
    """

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._thread = threading.local()

    @property
    def is_inside(self) -> bool:
        """Whether this thread is in the midst of an action, which is repeated as a whole."""
        return getattr(self._thread, "is_inside", False)

    def persist(self, action: Callable[[], _Answer]) -> _Answer:
        """Do something until it works.

        Raises:
            StorageInternalError: It did not work in all that time.
        """
        deadline, pause = time.monotonic() + self._seconds, FIRST_PAUSE_S
        while True:
            try:
                return self.attempt(action)
            except StorageInternalError:
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def attempt(self, action: Callable[[], _Answer]) -> _Answer:
        """Do something once.

        Raises:
            StorageInternalError: It did not work.
        """
        self._thread.is_inside = True
        try:
            return action()
        finally:
            self._thread.is_inside = False
