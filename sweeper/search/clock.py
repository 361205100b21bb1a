"""A study's wall clock: the time in which anybody has worked on it, over all its runs."""

from __future__ import annotations

import time

from sweeper.search import attributes as attrs
from sweeper.search.store import StudyStore


class StudyClock:
    """Counts on from what the study has spent.

    Everybody who works on a study has a clock of it, and all keep theirs in one place. The
    largest stands, so that time spent side by side counts once.

    Args:
        store: The study's.
    """

    def __init__(self, store: StudyStore) -> None:
        self._store = store
        self._limit_s = store.spec.budget.wall_clock_s
        self._spent_before_s = self._kept_s
        self._began = time.monotonic()

    @property
    def spent_s(self) -> float:
        """Seconds until now."""
        return self._spent_before_s + time.monotonic() - self._began

    @property
    def left_s(self) -> float | None:
        """Seconds that are left of the study's budget; None without a limit."""
        return None if self._limit_s is None else max(self._limit_s - self.spent_s, 0.0)

    @property
    def deadline(self) -> float | None:
        """Unix time in seconds at which nothing is left; None without a limit."""
        left_s = self.left_s
        return None if left_s is None else time.time() + left_s

    def save(self) -> None:
        """Keep the time until now: what a study that failed has spent is spent.

        While the storage's server is away it is kept the next time.
        """
        spent_s = self.spent_s
        with self._store.unless_away():
            if spent_s > self._kept_s:
                self._store.study.set_user_attr(attrs.SECONDS_SPENT, spent_s)

    @property
    def _kept_s(self) -> float:
        return float(self._store.study.user_attrs.get(attrs.SECONDS_SPENT, 0.0))
