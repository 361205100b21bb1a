"""A database that is locked, a disk that is full, a folder that is read-only."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sweeper.search.workers.orders import WorkReport
from sweeper.study import StudySpec
from tests.faults.crew import Worker, finish, prepared, progress_of, wait_for, worker
from tests.faults.field import Field
from tests.faults.ground import scripted_study, trained_study
from tests.faults.invariants import Examination, Witness
from tests.faults.program import program
from tests.faults.tally import Tally, hold

_TRIALS = 6
_DISK_BYTES = 8 << 20


def hold_database(field: Field, strikes: int) -> Tally:
    """Somebody holds SQLite's write lock for so many seconds, while two workers want it."""
    whole = field.whole(scripted_study)
    spec = field.struck(scripted_study, 0, _TRIALS)
    order = prepared(spec)
    with worker(order) as one, worker(order) as two:
        wait_for(lambda: progress_of(spec))
        _lock(spec, strikes)
        for each in (one, two):
            assert each.report().error is None
    tally = Tally(strikes=strikes)
    hold(tally, Examination(spec, whole))
    return tally


def _lock(spec: StudySpec, seconds: float) -> None:
    database = spec.output_folder / "study.db"
    connection = sqlite3.connect(database, timeout=60, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def fill_disk(field: Field, strikes: int) -> Tally:
    """The disk of the results is full at a random moment; room is made, and the study goes on."""

    def fill(disk: Path, _: StudySpec, hindered: Worker) -> WorkReport:
        with _ballast(disk):
            return hindered.report()

    return _hinder(field, strikes, fill, bytes_apart=150)


def deny_writing(field: Field, strikes: int) -> Tally:
    """The folder of the results cannot be written any more, nor by who comes next; then it can."""

    def deny(disk: Path, spec: StudySpec, hindered: Worker) -> WorkReport:
        with _read_only(disk):
            report = hindered.report()
            with program(spec) as called:
                code, said = called.wait()
        assert code == 1, said
        assert "cannot be written (Read-only file system)" in said
        return report

    return _hinder(field, strikes, deny, bytes_apart=600)


def _hinder(
    field: Field,
    strikes: int,
    strike: Callable[[Path, StudySpec, Worker], WorkReport],
    *,
    bytes_apart: int,
) -> Tally:
    """Strike the disk of a study's results once its curves have grown so far; each time farther."""
    whole = field.whole(trained_study)
    tally = Tally()
    while tally.strikes < strikes:
        # Each disk at a place of its own: SQLite removes a log by its name, and a connection to
        # the disk before might be closed late.
        disk = field.folder / f"disk-{tally.strikes}"
        disk.mkdir()
        with _small_disk(disk):
            spec = field.struck(trained_study, tally.studies, _TRIALS, output=str(disk))
            order, witness = prepared(spec), Witness(spec)
            least = bytes_apart * tally.strikes
            with worker(order) as hindered:
                wait_for(lambda least=least, spec=spec: progress_of(spec) > least)
                report = strike(disk, spec, hindered)
            assert report.error is not None
            assert "Nothing is lost: make room or give access" in report.error
            tally.strikes += 1
            witness.look()
            finish(order)
            witness.look()
            hold(tally, Examination(spec, whole))
    return tally


@contextmanager
def _read_only(place: Path) -> Iterator[None]:
    """A folder that nobody, not even root, can open a file in to write, whatever is open."""
    _mount("--bind", str(place), str(place))
    try:
        wait_for(lambda: _can_be_mounted("-o", "remount,bind,ro", str(place)))  # none opens one now
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def _small_disk(place: Path) -> Iterator[None]:
    _mount("-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(place))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _can_be_mounted(*words: str) -> bool:
    return not subprocess.run(["mount", *words], capture_output=True, check=False).returncode


def _mount(*words: str) -> None:
    try:
        mounted = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount on this machine")
    if mounted.returncode:
        pytest.skip(f"a disk of one's own needs the right to mount it ({mounted.stderr.strip()})")


@contextmanager
def _ballast(place: Path) -> Iterator[None]:
    """Fill a disk, and keep it full whatever is freed on it, until the context is left."""
    done = threading.Event()

    def fill() -> None:
        with (place / "ballast").open("wb", buffering=0) as file:
            while not done.is_set():
                with suppress(OSError):
                    file.write(bytes(4096))
                    continue
                done.wait(0.01)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        (place / "ballast").unlink()
