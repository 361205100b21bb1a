"""The trials that a worker has in hand: nobody else takes them while it lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from optuna.exceptions import StorageInternalError

from sweeper.search import leases
from sweeper.search.claim import Claim
from sweeper.search.store import StudyStore

RENEW_SECONDS = leases.LEASE_SECONDS / 4


class Holding:
    """Renews the leases of all claims in hand, in a thread of its own.

    At the end, what is still in hand is left to whoever comes next.

    Args:
        store: Of the study.
        keep_up: Called as often as the leases are renewed.
        hand_over: Called with a claim before it is left to others.
    """

    def __init__(
        self,
        store: StudyStore,
        keep_up: Callable[[], None] = lambda: None,
        hand_over: Callable[[Claim], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._keep_up = keep_up
        self._hand_over = hand_over
        self._claims: dict[int, Claim] = {}
        self._held_at: dict[int, float] = {}  # Unix time of the newest renewal
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
        self._held_at[claim.number] = time.time()
        self._claims[claim.number] = claim

    def drop(self, claim: Claim) -> None:
        """Let go of a claim whose trial has ended."""
        self._claims.pop(claim.number, None)

    def release(self, claim: Claim) -> None:
        """Let go of a claim whose trial can go on from its checkpoint."""
        self._hand_over(claim)
        self.drop(claim)
        self._store.release(claim)

    def abandon(self, claim: Claim) -> None:
        """Let go of a claim whose training process died."""
        self._hand_over(claim)
        self.drop(claim)
        self._store.abandon(claim)

    def has_lost(self, claim: Claim) -> bool:
        """Whether another worker has taken the trial over.

        Looked up where half a term has gone by without a renewal: a process that was suspended,
        or its machine, must not touch a trial before it knows. While the storage's server is away
        the trial counts as held, since nobody can take one either.
        """
        number = claim.number
        if number not in self._lost and self._is_in_doubt(number):
            with suppress(StorageInternalError):
                self._note(claim, self._store.still_holds(claim))
        return number in self._lost

    def _is_in_doubt(self, number: int) -> bool:
        return time.time() - self._held_at.get(number, 0.0) > leases.LEASE_SECONDS / 2

    def _note(self, claim: Claim, is_held: bool) -> None:
        if is_held:
            self._held_at[claim.number] = time.time()
        else:
            self._lost.add(claim.number)

    def renew(self) -> None:
        """Hold on to all claims for another term.

        Before a new claim, too: a worker that was suspended must not find its
        own trials left behind.
        """
        for claim in list(self._claims.values()):
            self._note(claim, self._store.renew(claim))

    def _keep(self) -> None:
        while not self._done.wait(RENEW_SECONDS):
            with suppress(
                StorageInternalError, OSError
            ):  # the trials meet it themselves, and say so
                self.renew()
                self._keep_up()
