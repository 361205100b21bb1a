"""The server of `sweeper storage serve`: Optuna's proxy, which also lends the storage's lock."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, get_storage, run_grpc_proxy_server

from sweeper.errors import StorageError
from sweeper.search.storages.address import Address
from sweeper.search.storages.exclusion import LOCK_SECONDS, Exclusion
from sweeper.search.storages.forwarding import ForwardingStorage
from sweeper.search.storages.lock_words import (
    GRANTED,
    LOST,
    NEXT_IN_TURN,
    LockWords,
    waiting_at,
)
from sweeper.search.storages.opening import open_storage

NUM_THREADS = 32
# An ask of one of the next in turn is answered when it is its turn, or after so many seconds.
ANSWER_SECONDS = 0.5
SILENT_SECONDS = 3.0  # who waits and has not asked for so long has given up, or is dead


@dataclass
class _Lent:
    token: str
    until: float
    hold: ExitStack


class LentLock:
    """A storage's lock, which one client at a time may borrow, in the order of their coming.

    It is given in answer to an ask alone that need not wait: one that waits may be of a client
    that has died meanwhile, and would keep the lock. So who has waited is told, and asks again.

    Args:
        exclusion: Of the storage.
        clock: Tells seconds, and never goes back.
        answer_s: ANSWER_SECONDS.
    """

    def __init__(
        self,
        exclusion: Exclusion,
        clock: Callable[[], float] = time.monotonic,
        answer_s: float = ANSWER_SECONDS,
    ) -> None:
        self._exclusion = exclusion
        self._clock = clock
        self._answer_s = answer_s
        self._changed = threading.Condition()
        self._lent: _Lent | None = None
        self._asked: dict[str, float] = {}  # when, by token, in the order of their coming

    def answer(self, words: LockWords) -> int:
        """What a client is told: GRANTED, LOST, or its place in the queue by `waiting_at`."""
        with self._changed:
            match words.verb:
                case "acquire":
                    return self._acquire(words)
                case "confirm":
                    return self._confirm(words)
                case "release":
                    return self._release(words)

    def _acquire(self, words: LockWords) -> int:
        token, now = words.token, self._clock()
        if self._lent is not None and self._lent.token == token:
            self._lent.until = now + LOCK_SECONDS
            return GRANTED
        self._asked = {t: at for t, at in self._asked.items() if now - at < SILENT_SECONDS}
        self._asked[token] = now
        if not self._is_turn_of(token):
            if self._place_of(token) <= NEXT_IN_TURN:
                self._changed.wait_for(lambda: self._is_turn_of(token), self._answer_s)
            return waiting_at(self._place_of(token))
        if self._lent is not None:
            self._take_back(self._lent)
        hold = ExitStack()
        hold.enter_context(self._exclusion.held(words.study))
        self._asked.pop(token)
        self._lent = _Lent(token, self._clock() + LOCK_SECONDS, hold)
        return GRANTED

    def _is_turn_of(self, token: str) -> bool:
        is_free = self._lent is None or self._lent.until <= self._clock()
        return is_free and self._place_of(token) == 1

    def _place_of(self, token: str) -> int:
        """From 1; the last one where the same client has been given the lock by another ask."""
        return [*self._asked, token].index(token) + 1

    def _confirm(self, words: LockWords) -> int:
        if self._lent is None or self._lent.token != words.token:
            return LOST
        self._lent.until = self._clock() + LOCK_SECONDS
        return GRANTED

    def _release(self, words: LockWords) -> int:
        if self._lent is not None and self._lent.token == words.token:
            self._take_back(self._lent)
        return GRANTED

    def _take_back(self, lent: _Lent) -> None:
        self._lent = None
        lent.hold.close()
        self._changed.notify_all()


class LendingStorage(ForwardingStorage):
    """A storage whose clients may borrow its lock.

    Args:
        inner: The storage itself.
        exclusion: Its lock.
    """

    def __init__(self, inner: BaseStorage, exclusion: Exclusion) -> None:
        super().__init__(inner)
        self._lock = LentLock(exclusion)

    def get_study_id_from_name(self, study_name: str) -> int:
        words = LockWords.read(study_name)
        if words is not None:
            return self._lock.answer(words)
        return super().get_study_id_from_name(study_name)


def serve_storage(address: Address, host: str, port: int) -> None:
    """Serve a storage to workers on other machines, until a signal comes.

    Whoever reaches the port can change the study: there is no password, and nothing is encrypted.

    Args:
        address: Of the storage: SQLite or PostgreSQL.
        host: The address to listen on.
        port: Likewise.

    Raises:
        StorageError: The storage cannot be opened or served, or the port is taken.
    """
    if address.kind not in ("sqlite", "postgresql"):
        raise StorageError(
            f"storage: {address} cannot be served (allowed: default, sqlite:///FILE, "
            "postgresql://USER@HOST/DATABASE)"
        )
    opened = open_storage(address)
    # `get_storage` keeps what has ended in memory: else each question reads the whole study.
    storage = LendingStorage(get_storage(opened.storage), opened.exclusion)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            threads = ThreadPoolExecutor(NUM_THREADS)
            run_grpc_proxy_server(storage, host=host, port=port, thread_pool=threads)
        except RuntimeError as error:
            raise StorageError(
                f"storage: nothing can be served at {host}:{port} ({error}). Next: another --port"
            ) from error
