"""Fetching what a place has of a trial: to go on with it, or to report it."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from optuna.trial import FrozenTrial

from sweeper.curves import Point
from sweeper.curves.curve import last_point
from sweeper.search import attributes as attrs
from sweeper.search.artifacts.archive import DamagedArchive, newest_checkpoint, unpack
from sweeper.search.artifacts.debts import is_owed
from sweeper.search.artifacts.marks import fetch_floors
from sweeper.search.artifacts.origin import Origin, keep_origin, read_origin
from sweeper.search.artifacts.place import NotThere, Place, PlaceAway, open_place
from sweeper.search.artifacts.record import Archive, Record, newest_record
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec
from sweeper.training.lost import Lost, add_lost, read_lost

PATIENCE_SECONDS = 60.0  # of who has a trial and cannot reach what is known of it
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0

_log = logging.getLogger(__name__)


def bring(
    spec: StudySpec, place: Place, trial: FrozenTrial, is_leaving: Callable[[], bool]
) -> frozenset[str]:
    """Have a trial's folder here as its last holder left it, before anybody goes on from it.

    Where that cannot be had, the trial goes on from what is here: what was trained elsewhere is
    then lost, and counted so.

    Args:
        spec: The study.
        place: Where its archives are.
        trial: Taken by this worker.
        is_leaving: Asked while the place is away; who has to leave does not wait for it.

    Returns:
        Names of archives that nobody needs to try again.

    Raises:
        OSError: The folder cannot be written.
        CheckpointError: What it has lost is damaged.
    """
    record, folder = Record.of(trial), trial_folder(spec, trial.number)
    if record is None:
        return frozenset()
    origin = read_origin(folder)
    refused: frozenset[str] = frozenset()
    if origin is None or origin.owner != record.owner:
        refused = _bring_newest(place, record, trial.number, folder, is_leaving)
        if spec.command is not None:  # its own files stayed where it ran: it begins anew
            (folder / "manifest.json").unlink(missing_ok=True)
    _count_what_is_missing(folder, record)
    return refused


def _bring_newest(
    place: Place, record: Record, number: int, folder: Path, is_leaving: Callable[[], bool]
) -> frozenset[str]:
    refused = set()
    for archive in record.archives:
        try:
            _fetch_patiently(place, archive, folder, is_leaving)
        except (DamagedArchive, NotThere) as error:
            refused.add(archive.name)
            _log.warning("artifacts: trial %d: %s", number, _why_not(archive, error))
        except PlaceAway as error:
            _log.warning("artifacts: trial %d: %s", number, _why_not(archive, error))
            break
        else:
            keep_origin(folder, Origin(record.owner, archive.name))
            return frozenset(refused)
    if record.archives:
        step = max(newest_checkpoint(folder), 0)
        _log.warning("artifacts: trial %d goes on from step %d, which is here", number, step)
    return frozenset(refused)


def _fetch_patiently(
    place: Place, archive: Archive, folder: Path, is_leaving: Callable[[], bool]
) -> None:
    deadline, pause = time.monotonic() + PATIENCE_SECONDS, _FIRST_PAUSE_S
    while True:
        try:
            return _fetch(place, archive, folder)
        except PlaceAway:
            if time.monotonic() + pause > deadline or is_leaving():
                raise
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def _why_not(archive: Archive, error: Exception) -> str:
    if isinstance(error, NotThere):
        return f"the archive {archive.name} is not there"
    if isinstance(error, PlaceAway):
        return f"the archive {archive.name} cannot be fetched ({error})"
    return f"the archive {archive.name} is refused: {error}"


def _fetch(place: Place, archive: Archive, folder: Path) -> None:
    """Put an archive in the place of a trial's folder.

    Raises:
        DamagedArchive: It is not what the storage says, or not what it may be.
        NotThere: It is gone.
        PlaceAway: It cannot be had now.
        OSError: The folder cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder.parent) as file:
        place.get(archive.name, file, archive.size)
        if file.tell() != archive.size:
            more = "more" if file.tell() > archive.size else "less"
            raise DamagedArchive(f"it has {more} than its {archive.size} bytes")
        file.seek(0)
        if hashlib.file_digest(file, "sha256").hexdigest() != archive.sha256:
            raise DamagedArchive("it does not match its SHA-256")
        file.seek(0)
        unpack(file, folder)


def _count_what_is_missing(folder: Path, record: Record) -> None:
    """What the last holder is known to have trained, and nobody here has."""
    last = last_point(folder / "curve.jsonl") or Point(0, 0)
    lost = read_lost(folder)
    missing = record.tokens + record.lost.tokens - last.tokens - lost.tokens
    if missing > 0:
        told_s = record.seconds + record.lost.seconds
        missing_s = max(told_s - (last.seconds or 0.0) - lost.seconds, 0.0)
        folder.mkdir(parents=True, exist_ok=True)
        add_lost(folder, Lost(missing, missing_s))


def fetch_ended(store: StudyStore) -> None:
    """Have here what a report needs and other machines have; what cannot be had is said.

    Raises:
        StorageError: The place's client is not installed.
        OSError: The folder cannot be written.
    """
    place = open_place(store.spec)
    if place is None:
        return
    fetch_floors(store)
    late, told = list[int](), store.study.user_attrs
    for trial in store.trials():
        record = newest_record(trial, told) if trial.state.is_finished() else None
        if record is None or is_owed(store.spec, trial.number):
            continue
        try:
            _have_here(place, record, trial_folder(store.spec, trial.number))
        except PlaceAway as error:
            _log.warning("artifacts: they cannot be fetched (%s); shown is what is here", error)
            return
        except (DamagedArchive, NotThere) as error:
            assert record.newest is not None, "what is refused is there"
            _log.warning("artifacts: trial %d: %s", trial.number, _why_not(record.newest, error))
        if not record.is_final and trial.user_attrs.get(attrs.ENDED_BY) == record.owner:
            late.append(trial.number)
    if late:
        _log.warning(
            "artifacts: of what trial %s left, the newest is on the machine of its worker, and is "
            "sent when one is started there again",
            ", ".join(map(str, late)),
        )


def _have_here(place: Place, record: Record, folder: Path) -> None:
    if record.newest is None:
        return
    origin = Origin(record.owner, record.newest.name)
    if read_origin(folder) != origin:
        _fetch(place, record.newest, folder)
        keep_origin(folder, origin)
