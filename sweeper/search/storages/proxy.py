"""The client of `sweeper storage serve`: Optuna's proxy, and the study's lock on its server.

A server that is gone is noticed at once, and one behind a dead network when TCP gives up, which
can take minutes: Optuna's proxy sets no deadline for a call.
"""

from __future__ import annotations

import random
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
from sweeper.search.storages.lock_words import GRANTED, LockWords, Verb

FIRST_PAUSE_S = 0.005
LONGEST_PAUSE_S = 0.2

_Answer = TypeVar("_Answer")


class ProxyStorage(ForwardingStorage):
    """Optuna's proxy, whose failures are those of any other storage.

    Args:
        address: Of the server.
    """

    def __init__(self, address: Address) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(GrpcStorageProxy(host=address.host, port=address.port))
        self._address = address

    def _call(self, operation: Callable[..., _Answer], *values: Any) -> _Answer:
        try:
            return operation(*values)
        except grpc.RpcError as error:
            raise StorageInternalError(f"{self._address}: {_details(error)}") from None


def _details(error: grpc.RpcError) -> str:
    if isinstance(error, grpc.Call):
        return f"{error.code().name.lower()}: {error.details()}"
    return str(error)


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

    @contextmanager
    def held(self, study: str) -> Iterator[None]:
        """See Exclusion."""
        with self._mine:
            pause = FIRST_PAUSE_S
            while self._ask("acquire", study) != GRANTED:
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, LONGEST_PAUSE_S)
            try:
                yield
            finally:
                with suppress(StorageInternalError):  # a server that is gone has no lock either
                    self._ask("release", study)

    def _ask(self, verb: Verb, study: str) -> int:
        try:
            words = LockWords(verb, self._token, study)
            return self._storage.get_study_id_from_name(words.as_name())
        except KeyError as error:
            raise StorageError(
                "storage: the server there keeps no lock for workers. Next: start it with "
                "sweeper storage serve STUDY"
            ) from error
