"""Opening a storage so that many workers can use it at a time."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from sweeper.errors import StorageAwayError, StorageError
from sweeper.search.storages.address import Address
from sweeper.search.storages.exclusion import Exclusion, FileExclusion
from sweeper.search.storages.guarding import GuardedStorage
from sweeper.search.storages.journal import open_journal
from sweeper.search.storages.swift import read_swiftly
from sweeper.study.storage_url import without_password

SQLITE_BUSY_SECONDS = 60
_SCHEMA = "the tables themselves"  # no study has a name like this


@dataclass(frozen=True)
class OpenStorage:
    """A storage in use.

    Attributes:
        storage: For Optuna.
        exclusion: Of its studies.
        is_remote: Whether a server answers, which may be away for a while.
    """

    storage: BaseStorage
    exclusion: Exclusion
    is_remote: bool = False


def open_storage(address: Address) -> OpenStorage:
    """Open a storage, and make it where it is not there.

    Raises:
        StorageAwayError: Its server does not answer.
        StorageError: It cannot be opened. Neither message has a password in it.
    """
    try:
        match address.kind:
            case "sqlite":
                return _open_sqlite(address)
            case "journal":
                exclusion = FileExclusion(_beside(address.path))
                return OpenStorage(open_journal(address.path), exclusion)
            case "postgresql":
                return _open_postgres(address)
            case "grpc":
                return _open_proxy(address)
    except (OSError, ValueError, ImportError, StorageInternalError, SQLAlchemyError) as error:
        said = f"storage: {address} cannot be opened ({_cause(error)})"
        if not _is_away(error):
            raise StorageError(said) from error
        serve = ". Next: sweeper storage serve STUDY, on the machine that has the database"
        raise StorageAwayError(said + serve * (address.kind == "grpc")) from error


def _is_away(error: Exception) -> bool:
    """Whether no server answered, or one that is about to go or come; not one that refused."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, ConnectionError):
        return True
    if not isinstance(cause, OperationalError):
        return False
    return "FATAL" not in str(cause) or "the database system is" in str(cause)


def storage_error(error: StorageInternalError) -> StorageError:
    """What Optuna's storage met, in words for the person who has to mend it."""
    return StorageError(
        f"storage: the study's database could not be written or read ({_cause(error)}). Nothing is "
        "lost: make room or give access, then run the study again and it goes on from its "
        "checkpoints"
    )


def _cause(error: Exception) -> str:
    lines = str(error.__cause__ or error).splitlines() or [type(error).__name__]
    return without_password(lines[0])


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-lock")


def _open_sqlite(address: Address) -> OpenStorage:
    """With a write-ahead log and a minute of patience: by default "locked" comes after 5 s."""
    exclusion = FileExclusion(_beside(address.path))
    options = {"connect_args": {"timeout": SQLITE_BUSY_SECONDS}}
    with exclusion.held(_SCHEMA):
        _use_write_ahead_log(address.path)
        storage = RDBStorage(address.url, engine_kwargs=options)
    return OpenStorage(read_swiftly(storage), exclusion)


def _use_write_ahead_log(path: Path) -> None:
    try:
        connection = sqlite3.connect(path, timeout=SQLITE_BUSY_SECONDS)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StorageError(
            f"storage: {path.name} in {path.parent.name}/ cannot be used ({error}); is the disk "
            "full, the folder read-only, or the file not a database?"
        ) from error


def _open_postgres(address: Address) -> OpenStorage:
    try:
        from sweeper.search.storages.postgres import PostgresExclusion, engine_options
    except ImportError as error:
        raise StorageError(
            "storage: PostgreSQL needs its driver. Next: pip install 'sweeper[postgres]'"
        ) from error
    exclusion, options = PostgresExclusion(address.url), engine_options(address.url)
    with exclusion.held(_SCHEMA):  # two that make the tables at once both fail
        storage = RDBStorage(address.url, engine_kwargs=options)
    return OpenStorage(GuardedStorage(read_swiftly(storage), exclusion), exclusion, True)


def _open_proxy(address: Address) -> OpenStorage:
    from sweeper.search.storages.proxy import ProxyExclusion, ProxyStorage  # grpc takes a while

    storage = ProxyStorage(address)
    storage.greet()
    exclusion = ProxyExclusion(storage)
    return OpenStorage(GuardedStorage(storage, exclusion), exclusion, True)
