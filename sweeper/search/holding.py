"""The trials that a worker has in hand: nobody else takes them while it lives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from optuna.exceptions import StorageInternalError

from sweeper.search.claim import Claim
from sweeper.search.leases import RENEW_SECONDS
from sweeper.search.store import StudyStore


class Holding:
    """Renews the leases of all claims in hand, in a thread of its own.

    At the end, what is still in hand is left to whoever comes next.

    Args:
        store: Of the study.
        keep_up: Called as often as the leases are renewed.
    """

    def __init__(self, store: StudyStore, keep_up: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._keep_up = keep_up
        self._claims: dict[int, Claim] = {}
        self._lost: set[int] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)

    def __enter__(self) -> Holding:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        for claim in list(self._claims.values()):
            with suppress(StorageInternalError, OSError):  # then its lease ends with this process
                self.release(claim)

    def add(self, claim: Claim) -> None:
        """Take a claim in hand."""
        self._lost.discard(claim.number)
        self._claims[claim.number] = claim

    def drop(self, claim: Claim) -> None:
        """Let go of a claim whose trial has ended."""
        self._claims.pop(claim.number, None)

    def release(self, claim: Claim) -> None:
        """Let go of a claim whose trial can go on from its checkpoint."""
        self.drop(claim)
        self._store.release(claim)

    def abandon(self, claim: Claim) -> None:
        """Let go of a claim whose training process died."""
        self.drop(claim)
        self._store.abandon(claim)

    def has_lost(self, claim: Claim) -> bool:
        """Whether another worker has taken the trial over."""
        return claim.number in self._lost

    def renew(self) -> None:
        """Hold on to all claims for another term.

        Before a new claim, too: a worker that was suspended must not find its
        own trials left behind.
        """
        for claim in list(self._claims.values()):
            if not self._store.renew(claim):
                self._lost.add(claim.number)

    def _keep(self) -> None:
        while not self._done.wait(RENEW_SECONDS):
            with suppress(
                StorageInternalError, OSError
            ):  # the trials meet it themselves, and say so
                self.renew()
                self._keep_up()
