"""Trying again while a server is away: with pauses that grow, and not for ever."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError

PATIENCE_SECONDS = 300.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 15.0
LEAVING_SECONDS = 3.0  # of patience, where its owner is to leave
_LOOK_SECONDS = 0.2

_Answer = TypeVar("_Answer")


class Patience:
    """Does again what a storage failed in; it must be safe to do twice.

    Args:
        seconds: How long to go on trying; 0: the first failure is final.
        has_to_leave: Whether to go on for no longer than LEAVING_SECONDS in all from now on: a
            person who waits for the end does not wait for a server that is away.
    """

    def __init__(
        self,
        seconds: float = PATIENCE_SECONDS,
        has_to_leave: Callable[[], bool] = lambda: False,
    ) -> None:
        self._seconds = seconds
        self._has_to_leave = has_to_leave
        self._ends_at = math.inf  # on the clock of `monotonic`, once it has to leave
        self._thread = threading.local()

    @property
    def is_inside(self) -> bool:
        """Whether this thread is in the midst of an action, which is repeated as a whole."""
        return getattr(self._thread, "is_inside", False)

    def persist(
        self,
        action: Callable[[], _Answer],
        failure: type[Exception] = StorageInternalError,
    ) -> _Answer:
        """Do something until it works.

        Args:
            action: What to do.
            failure: How it fails where it may work another time.

        Raises:
            Exception: The failure: it did not work in all that time.
        """
        deadline, pause = time.monotonic() + self._seconds, FIRST_PAUSE_S
        while True:
            try:
                return self.attempt(action)
            except failure:
                if time.monotonic() + pause > deadline or not self._has_waited(pause):
                    raise
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _has_waited(self, pause: float) -> bool:
        """Wait for about so many seconds, or less; False where it is time to leave."""
        until = time.monotonic() + pause * random.uniform(0.5, 1.0)
        while (left_s := until - time.monotonic()) > 0:
            time.sleep(min(left_s, _LOOK_SECONDS))
            if self._last_moment() < math.inf:
                break
        return time.monotonic() < self._last_moment()

    def _last_moment(self) -> float:
        if self._ends_at == math.inf and self._has_to_leave():
            self._ends_at = time.monotonic() + LEAVING_SECONDS
        return self._ends_at

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
