"""PostgreSQL: connections that do not wait for a silent server, and a study's lock on it.

A server that is gone is noticed at once. One that is suspended, or behind a dead network, is not:
the driver would wait for its answer for hours. It counts as away too.
"""

from __future__ import annotations

import hashlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import sqlalchemy
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from sweeper.search.storages.exclusion import LOCK_SECONDS, Exclusion

ANSWER_SECONDS = 30.0  # that the server may take for anything
TURN_SECONDS = 10.0  # after which the server is asked again for a lock that another has
CONNECT_SECONDS = 10
_LOOK_SECONDS = 0.1


class PunctualConnection(psycopg.Connection[Any]):
    """Is closed where an answer does not come in ANSWER_SECONDS."""

    def wait(self, gen: Any, interval: float = _LOOK_SECONDS, timeout: float | None = None) -> Any:
        """See psycopg: everything that waits for the server does so here.

        Raises:
            psycopg.OperationalError: The server is silent, or gone.
        """
        began = time.monotonic()
        most_s = ANSWER_SECONDS if timeout is None else timeout
        try:
            return super().wait(gen, interval, most_s)
        except psycopg.OperationalError:
            if timeout is None and time.monotonic() - began >= most_s:
                self.pgconn.finish()  # in the midst of an operation: of no use any more
            raise


def new_engine(url: str) -> sqlalchemy.Engine:
    """What connects to a database."""
    return sqlalchemy.create_engine(url, **engine_options(url))


def engine_options(url: str) -> dict[str, Any]:
    """Of `sqlalchemy.create_engine`, which others may call."""
    return {"pool_pre_ping": True, "creator": _connector(url)}


def _connector(url: str) -> Callable[[], PunctualConnection]:
    parsed = sqlalchemy.make_url(url)
    _, options = parsed.get_dialect()().create_connect_args(parsed)
    return lambda: PunctualConnection.connect(**{"connect_timeout": CONNECT_SECONDS, **options})


class PostgresExclusion(Exclusion):
    """An advisory lock of a PostgreSQL server.

    It belongs to a transaction, not to a session, so that it also holds behind a pool of
    connections such as PgBouncer's. The server ends a transaction that is idle for LOCK_SECONDS.

    Args:
        url: Of the database, as SQLAlchemy writes it.
    """

    def __init__(self, url: str) -> None:
        self._engine = new_engine(url)
        weakref.finalize(self, self._engine.dispose)
        self._thread = threading.local()

    @contextmanager
    def held(self, study: str) -> Iterator[None]:
        """See Exclusion."""
        try:
            connection = self._engine.connect()
            transaction = self._locked(connection, study)
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
        # Another thread may have let go of what this one took: a lock that is lent is so. What is
        # lost instead is not closed, but invalid.
        if connection is None or connection.closed:
            return
        try:
            connection.execute(sqlalchemy.text("SELECT 1"))  # in the transaction of the lock
        except SQLAlchemyError as error:
            raise StorageInternalError("The server's lock was lost.") from error

    def _locked(self, connection: sqlalchemy.Connection, study: str) -> sqlalchemy.RootTransaction:
        """A transaction that has the lock, after as many turns as it takes.

        In each the server lets go of who waits: so it is told from one that is silent.
        """
        while True:
            transaction = connection.begin()
            try:
                self._lock(connection, study)
            except sqlalchemy.exc.OperationalError as error:
                if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                    raise
                transaction.rollback()
            else:
                return transaction

    def _lock(self, connection: sqlalchemy.Connection, study: str) -> None:
        for name, seconds in (
            ("idle_in_transaction_session_timeout", LOCK_SECONDS),
            ("lock_timeout", TURN_SECONDS),
        ):
            setting = f"SET LOCAL {name} = {int(seconds * 1000)}"
            connection.execute(sqlalchemy.text(setting))
        lock = sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(lock, {"key": _lock_key(study)})


def _lock_key(study: str) -> int:
    """A number of 64 bits, as PostgreSQL's advisory locks are named."""
    digest = hashlib.sha256(f"sweeper {study}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
