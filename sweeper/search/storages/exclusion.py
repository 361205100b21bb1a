"""What lets one worker at a time take, keep or end a trial of a study."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

# A holder that is silent for so long is suspended or cut off, and stands in everybody's way.
LOCK_SECONDS = 120.0


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
        """By the kernel, which lets the waiting in by turns: who only asks again and again starves.

        A call that waits cannot be told for how long, so it has a thread of its own. That of one
        who has given up has the lock for the moment in which it learns that its file is closed.
        """
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            has_it = threading.Event()

            def wait() -> None:
                with suppress(OSError, ValueError):
                    fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
                    has_it.set()

            threading.Thread(target=wait, name="lock", daemon=True).start()
            if not has_it.wait(LOCK_SECONDS):
                said = f"{_holder_of(self._path)} has held it for {LOCK_SECONDS:.0f} s"
                raise TimeoutError(errno.ETIMEDOUT, said, str(self._path)) from None


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
