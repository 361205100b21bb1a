"""What lets one worker at a time take, keep or end a trial of a study."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

import sqlalchemy
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

# A holder that is silent for so long is suspended or cut off, and stands in everybody's way.
LOCK_SECONDS = 120.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0005, 0.02


class Exclusion(ABC):
    """A lock for each study of a storage."""

    @abstractmethod
    def held(self, study: str) -> AbstractContextManager[None]:
        """Wait for the lock, and hold it in the context.

        Not to be entered twice by one thread: the second would wait for the first. It is let go
        of when its holder dies.

        Args:
            study: Name of the study in the storage.

        Raises:
            StorageInternalError: Who keeps the lock cannot be reached.
            OSError: The lock's file cannot be written, or another process keeps it for too long.
        """

    def confirm(self) -> None:  # noqa: B027  (a lock of the kernel is not lost)
        """See that this thread has not lost the lock that it holds, if it holds one.

        Raises:
            StorageInternalError: It has, or that cannot be known.
        """


class FileExclusion(Exclusion):
    """A lock of the kernel; one for all studies of the file.

    A holder that is stopped cannot be told from one that takes its time, and what it was about to
    write would still be written when it goes on. So nobody takes the lock from it; who waits gives
    up after LOCK_SECONDS and says whom to wake.

    Args:
        path: Of the lock; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def held(self, study: str) -> Iterator[None]:
        """See Exclusion."""
        with self._path.open("w") as lock:
            self._wait_for(lock)
            yield

    def _wait_for(self, lock: IO[str]) -> None:
        deadline, pause = time.monotonic() + LOCK_SECONDS, _FIRST_PAUSE_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    said = f"{_holder_of(self._path)} has held it for {LOCK_SECONDS:.0f} s"
                    raise TimeoutError(errno.ETIMEDOUT, said, str(self._path)) from None
            else:
                return
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, _LONGEST_PAUSE_S)


def _holder_of(path: Path) -> str:
    """Who has a file locked, by what Linux says, and how to wake it where it sleeps."""
    with suppress(OSError, ValueError, IndexError):
        inode = str(path.stat().st_ino)
        for line in Path("/proc/locks").read_text("ascii").splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode:
                pid = int(fields[4])
                state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
                is_stopped = state in (b"T", b"t") and pid != os.getpid()
                wake = f", which is stopped (kill -CONT {pid} lets it go on)" if is_stopped else ""
                return f"process {pid}{wake}"
    return "another process"


class PostgresExclusion(Exclusion):
    """An advisory lock of a PostgreSQL server.

    It belongs to a transaction, not to a session, so that it also holds behind a pool of
    connections such as PgBouncer's. The server ends a transaction that is idle for LOCK_SECONDS.

    Args:
        url: Of the database, as SQLAlchemy writes it.
    """

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(url, pool_pre_ping=True)
        weakref.finalize(self, self._engine.dispose)
        self._thread = threading.local()

    @contextmanager
    def held(self, study: str) -> Iterator[None]:
        """See Exclusion."""
        try:
            connection = self._engine.connect()
            transaction = connection.begin()
            self._lock(connection, study)
        except SQLAlchemyError as error:
            raise StorageInternalError("The server's lock cannot be had.") from error
        self._thread.connection = connection
        try:
            yield
        finally:
            self._thread.connection = None
            # What was done under the lock is done; a server that is gone has no lock either.
            with suppress(SQLAlchemyError):
                transaction.rollback()
            with suppress(SQLAlchemyError):
                connection.close()

    def confirm(self) -> None:
        """See Exclusion."""
        connection: sqlalchemy.Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            return
        try:
            connection.execute(sqlalchemy.text("SELECT 1"))  # in the transaction of the lock
        except SQLAlchemyError as error:
            raise StorageInternalError("The server's lock was lost.") from error

    def _lock(self, connection: sqlalchemy.Connection, study: str) -> None:
        milliseconds = int(LOCK_SECONDS * 1000)
        timeout = f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
        connection.execute(sqlalchemy.text(timeout))
        lock = sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(lock, {"key": _lock_key(study)})


def _lock_key(study: str) -> int:
    """A number of 64 bits, as PostgreSQL's advisory locks are named."""
    digest = hashlib.sha256(f"sweeper {study}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
