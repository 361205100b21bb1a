"""The client of `sweeper storage serve`: Optuna's proxy, and the study's lock on its server.

A server that is gone is noticed at once. One that is silent (suspended, or behind a dead network)
counts as away too: Optuna's proxy sets no deadline for a call, so its connection is cut from here.
"""

from __future__ import annotations

import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import grpc
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import GrpcStorageProxy

from sweeper.errors import StorageError
from sweeper.search.storages.address import Address
from sweeper.search.storages.exclusion import Exclusion
from sweeper.search.storages.forwarding import ForwardingStorage
from sweeper.search.storages.lock_words import GRANTED, NEXT_IN_TURN, LockWords, Verb, place_in

CALL_SECONDS = 30.0  # that the server may take for an operation
GREETING_SECONDS = 2.0  # that it may take to answer at all, once it was silent
FIRST_GREETING_SECONDS = 10.0  # and at first
PAUSE_S = 0.05  # for each who comes before those that are next in turn
LONGEST_PAUSE_S = 0.5

_Answer = TypeVar("_Answer")


class _Connection:
    """Optuna's proxy, until it is cut.

    Args:
        address: Of the server.
    """

    def __init__(self, address: Address) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self.proxy = GrpcStorageProxy(host=address.host, port=address.port)
        self.is_cut = self.is_silent = False

    def cut(self) -> None:
        """End all calls that are under way, by an error; there will be no more."""
        self.is_cut = True
        self.proxy.close()

    def cut_as_silent(self) -> None:
        """Likewise, as nothing was heard for too long."""
        self.is_silent = True
        self.cut()


class ProxyStorage(ForwardingStorage):
    """Optuna's proxy, whose failures are those of any other storage.

    Args:
        address: Of the server.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection = _Connection(address)
        self._is_silent = False
        self._mine = threading.Lock()
        super().__init__(self._connection.proxy)

    def greet(self) -> None:
        """Hear whether anybody is there.

        Raises:
            ConnectionError: Nobody is.
        """
        try:
            self._connection.proxy.wait_server_ready(FIRST_GREETING_SECONDS)
        except ConnectionError as error:
            raise ConnectionError(f"no answer within {FIRST_GREETING_SECONDS:.0f} s") from error

    def _call(self, operation: Callable[..., _Answer], *values: Any) -> _Answer:
        self._wait_for_words()
        connection = self._connection
        do: Callable[..., _Answer] = getattr(connection.proxy, operation.__name__)
        deadline = threading.Timer(CALL_SECONDS, connection.cut_as_silent)
        deadline.daemon = True
        deadline.start()
        try:
            return do(*values)
        except grpc.RpcError as error:
            if _is_unreachable(error):
                connection.cut()  # it would look for a server again after minutes only
            raise StorageInternalError(f"{self._address}: {_details(error)}") from None
        except ValueError:
            if not connection.is_cut:
                raise
            raise StorageInternalError(f"{self._address}: cut in another call") from None
        finally:
            deadline.cancel()
            if connection.is_cut:
                self._connect_instead_of(connection)

    def _connect_instead_of(self, connection: _Connection) -> None:
        with self._mine:
            if self._connection is connection:
                self._is_silent = connection.is_silent
                self._connection = _Connection(self._address)

    def _wait_for_words(self) -> None:
        """Of a server that was silent: not for long, before it is trusted with a call again."""
        if not self._is_silent:
            return
        try:
            self._connection.proxy.wait_server_ready(GREETING_SECONDS)
        except ConnectionError:
            raise StorageInternalError(f"{self._address}: silent") from None
        self._is_silent = False


def _is_unreachable(error: grpc.RpcError) -> bool:
    return isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNAVAILABLE


def _details(error: grpc.RpcError) -> str:
    if isinstance(error, grpc.Call):
        return f"{error.code().name.lower()}: {error.details()}"
    return str(error)


def _pause_at(place: int) -> float:
    """The seconds until one who waits asks again; the server itself keeps the next in turn."""
    return min(PAUSE_S * max(place - NEXT_IN_TURN, 0), LONGEST_PAUSE_S)


class ProxyExclusion(Exclusion):
    """The lock of the storage behind the proxy, asked for until it is free.

    Args:
        storage: The proxy.
    """

    def __init__(self, storage: ProxyStorage) -> None:
        self._storage = storage
        # One for all threads: a request whose answer was lost is granted when it is made again.
        self._token = uuid.uuid4().hex
        self._mine = threading.Lock()
        self._thread = threading.local()

    @contextmanager
    def held(self, study: str) -> Iterator[None]:
        """See Exclusion."""
        with self._mine:
            while (answer := self._ask("acquire", study)) != GRANTED:
                time.sleep(_pause_at(place_in(answer)))
            self._thread.study = study
            try:
                yield
            finally:
                self._thread.study = None
                with suppress(StorageInternalError):  # a server that is gone has no lock either
                    self._ask("release", study)

    def confirm(self) -> None:
        """See Exclusion."""
        study: str | None = getattr(self._thread, "study", None)
        if study is not None and self._ask("confirm", study) != GRANTED:
            raise StorageInternalError("The server has forgotten the lock.")

    def _ask(self, verb: Verb, study: str) -> int:
        try:
            words = LockWords(verb, self._token, study)
            return self._storage.get_study_id_from_name(words.as_name())
        except KeyError as error:
            raise StorageError(
                "storage: the server there keeps no lock for workers. Next: start it with "
                "sweeper storage serve STUDY"
            ) from error
