"""A journal file: found half-written after a crash, it is mended before anything is added to it.

Optuna appends a line for each change. A writer that dies in the middle leaves half a line; Optuna
reads past it, but the next line is glued to it, and from then on nobody can read the file. Here
every writer looks at the end of the file first, under the lock that it writes with:

- Half a line at the end was never acknowledged to anybody. It is cut off, into a file beside.
- A line that others were glued to (by a version or a tool that did not look) gets blanks in place
  of its first half, so that no other line moves under those who are reading.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sweeper.errors import StorageError

_log = logging.getLogger(__name__)
_RECORD_START = b'{"op_code":'


def open_journal(path: Path) -> JournalStorage:
    """Open a journal, made where it is missing and mended where a line is broken.

    Raises:
        StorageError: A line is broken in a way that cannot be mended.
        OSError: It cannot be read or written.
    """
    lock = MendingLock(path)
    path.touch()
    with lock.held():
        pass  # half a line at the end is cut off by now
    # Optuna asks of a lock no more than two of its methods.
    backend = JournalFileBackend(str(path), lock_obj=lock)  # type: ignore[arg-type]
    try:
        return JournalStorage(backend)
    except ValueError:  # a line is no JSON
        with lock.held():
            mend_lines(path)
        return JournalStorage(backend)


class MendingLock:
    """The lock that a writer of a journal holds: a journal so locked ends with a record.

    One of the kernel, which lets go of it when its holder dies; Optuna's own waits half a minute.

    Args:
        path: Of the journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: IO[bytes] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock in the context."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> bool:
        """Wait for the lock."""
        lock = self._path.with_name(f"{self._path.name}-append").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            mend_end(self._path)
        except BaseException:  # nobody would release it: not even this process could go on
            lock.close()
            raise
        self._held = lock
        return True

    def release(self) -> None:
        """Let go of it."""
        assert self._held is not None, "released by who did not acquire it"
        held, self._held = self._held, None
        held.close()


def mend_end(path: Path) -> None:
    """See that a journal ends with a whole line, which is a record.

    Whoever calls it holds the journal's lock.

    Raises:
        OSError: It cannot be read or written.
    """
    with path.open("rb+") as journal:
        size = journal.seek(0, os.SEEK_END)
        start = _start_of_line(journal, size)
        journal.seek(start)
        line = journal.read()
        if not line or (line.endswith(b"\n") and _is_record(line)):
            return
        half = _length_of_first_half(line) if line.endswith(b"\n") else None
        if half is not None:
            _blank_out(path, journal, start, line[:half])
            return
        _set_aside(path, start, line)
        journal.truncate(start)
        os.fsync(journal.fileno())
    _log.warning(
        "%s: the last line was half-written, by a process that died; its %d bytes are now in %s",
        path.name,
        len(line),
        _side_file(path).name,
    )


def _start_of_line(journal: IO[bytes], end: int, chunk: int = 65_536) -> int:
    """The place where the last line begins, whole or not.

    Args:
        journal: Open for reading.
        end: Its size in bytes.
        chunk: Bytes to read at a time.
    """
    before = end - 1  # the end of a whole line is its own
    while before > 0:
        start = max(before - chunk, 0)
        journal.seek(start)
        place = journal.read(before - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        before = start
    return 0


def mend_lines(path: Path) -> None:
    """Blank out the broken first half of every line to which a whole record was glued.

    Whoever calls it holds the journal's lock. Lines that are whole are read but not touched.

    Raises:
        StorageError: A line holds no whole record.
        OSError: It cannot be read or written.
    """
    broken = list(_broken_lines(path))
    with path.open("rb+") as journal:
        for number, place, line in broken:
            half = _length_of_first_half(line)
            if half is None:
                raise StorageError(
                    f"storage: line {number} of {path.name} is damaged and holds no whole record. "
                    "Next: put back a copy of the file, or take that line out with an editor "
                    "while no worker runs"
                )
            _blank_out(path, journal, place, line[:half])


def _broken_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, place in bytes and content of every line that is no record."""
    place = 0
    with path.open("rb") as journal:
        for number, line in enumerate(journal, 1):
            if not _is_record(line):
                yield number, place, line
            place += len(line)


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _length_of_first_half(line: bytes) -> int | None:
    start = line.find(_RECORD_START, 1)
    while start > 0:
        if _is_record(line[start:]):
            return start
        start = line.find(_RECORD_START, start + 1)
    return None


def _blank_out(path: Path, journal: IO[bytes], place: int, half: bytes) -> None:
    _set_aside(path, place, half)
    journal.seek(place)
    journal.write(b" " * len(half))
    journal.flush()
    os.fsync(journal.fileno())
    _log.warning(
        "%s: a line began with a half-written one, of a process that died; its %d bytes are now "
        "in %s",
        path.name,
        len(half),
        _side_file(path).name,
    )


def _side_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.cut")


def _set_aside(path: Path, place: int, what: bytes) -> None:
    with _side_file(path).open("ab") as side:
        side.write(b"byte %d: %s\n" % (place, what))
        side.flush()
        os.fsync(side.fileno())
