"""Where a study is stored: its folder, its database, and what they fail with."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage

from sweeper.curves import Point
from sweeper.curves.curve import last_point
from sweeper.errors import StorageError
from sweeper.study import StudySpec
from sweeper.training.lost import read_lost

SQLITE_BUSY_SECONDS = 60


def storage_url(spec: StudySpec) -> str:
    """Optuna's URL of the study's storage: a SQLite file in its folder unless the study says."""
    if spec.storage == "default":
        return f"sqlite:///{spec.output_folder / 'study.db'}"
    return spec.storage


def open_storage(url: str) -> BaseStorage:
    """Open a storage so that many workers can write to it.

    SQLite gets a write-ahead log and a minute of patience: by default it fails
    with "locked" after five seconds.

    Raises:
        StorageError: It cannot be opened.
    """
    options: dict[str, Any] = {}
    if url.startswith("sqlite:///"):
        options = {"connect_args": {"timeout": SQLITE_BUSY_SECONDS}}
        _use_write_ahead_log(Path(url.removeprefix("sqlite:///")))
    elif url.startswith("postgresql"):
        options = {"pool_pre_ping": True}
    try:
        return RDBStorage(url, engine_kwargs=options)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise StorageError(f"storage: {url} cannot be opened ({error})") from error


def storage_error(error: StorageInternalError) -> StorageError:
    """What Optuna's storage met, in words for the person who has to mend it."""
    cause = str(error.__cause__ or error).splitlines()[0]
    return StorageError(
        f"storage: the study's database could not be written or read ({cause}). Nothing is lost: "
        "make room or give access, then run the study again and it goes on from its checkpoints"
    )


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


def make_folder(folder: Path) -> None:
    try:
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_text("writable")
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"the study's folder {folder.parent.name}/{folder.name} cannot be written "
            f"({error.strerror}). Free the disk or choose another with --set output=FOLDER"
        ) from error


def trial_folder(spec: StudySpec, number: int) -> Path:
    """The folder of one trial."""
    return spec.output_folder / "trials" / f"{number:04d}"


def newest_point(spec: StudySpec, number: int) -> Point | None:
    """How far a trial has come, whoever trained it; None before its first point."""
    return last_point(trial_folder(spec, number) / "curve.jsonl")


def tokens_so_far(spec: StudySpec, number: int) -> int:
    """Tokens that a trial which has not ended was trained on, in all attempts."""
    newest = newest_point(spec, number)
    return (newest.tokens if newest else 0) + read_lost(trial_folder(spec, number)).tokens


def has_begun(spec: StudySpec) -> bool:
    """Whether the study has been run on this machine's folder."""
    if spec.storage == "default":
        return (spec.output_folder / "study.db").is_file()
    return spec.output_folder.is_dir()
