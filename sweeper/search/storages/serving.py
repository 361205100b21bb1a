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
from sweeper.search.storages.lock_words import GRANTED, LOST, LockWords, waiting_at
from sweeper.search.storages.opening import open_storage

NUM_THREADS = 32
# Whoever asks first for a free lock has it, as long as nobody has waited for so long: clients that
# ask again and again would else leave it unused until the one in turn does.
PATIENCE_SECONDS = 0.5
SILENT_SECONDS = 3.0  # who waits and has not asked for so long has given up, or is dead


@dataclass
class _Lent:
    token: str
    until: float
    hold: ExitStack


@dataclass
class _Waiting:
    since: float
    asked: float


class LentLock:
    """A storage's lock, which one client at a time may borrow.

    A client cannot be called when the lock is free, so it asks again; it is never given the lock
    but in answer to that, as one that has died meanwhile would keep it. By chance alone the same
    one could come too late for minutes, so who has waited for PATIENCE_SECONDS is in turn.

    Args:
        exclusion: Of the storage.
        clock: Tells seconds, and never goes back.
    """

    def __init__(self, exclusion: Exclusion, clock: Callable[[], float] = time.monotonic) -> None:
        self._exclusion = exclusion
        self._clock = clock
        self._mutex = threading.Lock()
        self._lent: _Lent | None = None
        self._waiting: dict[str, _Waiting] = {}  # by token, in the order of their coming

    def answer(self, words: LockWords) -> int:
        """What a client is told: GRANTED, LOST, or its place in the queue by `waiting_at`."""
        with self._mutex:
            match words.verb:
                case "acquire":
                    return self._acquire(words)
                case "confirm":
                    return self._confirm(words)
                case "release":
                    return self._release(words)

    def _acquire(self, words: LockWords) -> int:
        now = self._clock()
        if self._lent is not None and self._lent.token == words.token:
            self._lent.until = now + LOCK_SECONDS
            return GRANTED
        place = self._place_of(words.token, now)
        if (self._lent is not None and now < self._lent.until) or self._is_anothers_turn(
            place, now
        ):
            return waiting_at(place)
        if self._lent is not None:
            self._take_back(self._lent)
        hold = ExitStack()
        hold.enter_context(self._exclusion.held(words.study))
        del self._waiting[words.token]
        self._lent = _Lent(words.token, self._clock() + LOCK_SECONDS, hold)
        return GRANTED

    def _place_of(self, token: str, now: float) -> int:
        """In the queue, from 1; the last one for who is new, or was silent."""
        present = {
            waiting: stay
            for waiting, stay in self._waiting.items()
            if now - stay.asked < SILENT_SECONDS
        }
        present.setdefault(token, _Waiting(now, now)).asked = now
        self._waiting = present
        return list(present).index(token) + 1

    def _is_anothers_turn(self, place: int, now: float) -> bool:
        first = next(iter(self._waiting.values()))
        return place > 1 and now - first.since > PATIENCE_SECONDS

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
