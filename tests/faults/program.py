"""`sweeper run` as a process, with all that it starts, and what is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeper.study import StudySpec
from tests.faults.crew import PATIENCE_S
from tests.faults.processes import command_of, fork_servers_of, with_variable

_MARK = "SWEEPER_FAULT"
_ROOT = Path(__file__).parents[2]


class Program:
    """One call of the program.

    Every process that it starts inherits a variable of its own, by which they are found even
    after they have left its session.
    """

    def __init__(self, spec: StudySpec, *words: str) -> None:
        self._value = uuid.uuid4().hex
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sweeper", *(words or ("run",)), spec.path.name],
            cwd=spec.folder,
            env={**os.environ, "PYTHONPATH": str(_ROOT), _MARK: self._value},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The parent's process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the parent has."""
        return self._process.poll() is not None

    def below(self) -> list[int]:
        """Live processes that it started, directly or not."""
        return [pid for pid in self.left() if pid != self.pid]

    def workers(self) -> list[int]:
        """Those below that train: the pool's own."""
        return [pid for pid in self.below() if _is_of_pool(pid)]

    def servers(self) -> list[int]:
        """The one that its workers' children are forked from."""
        return fork_servers_of(self.pid)

    def left(self) -> list[int]:
        """Live processes of it, the parent among them."""
        return with_variable(_MARK, self._value)

    def kill(self) -> bool:
        """SIGKILL to the parent alone; whether it was alive to be struck by it."""
        self._process.kill()
        return self._process.wait(PATIENCE_S) == -signal.SIGKILL

    def wait(self) -> tuple[int, str]:
        """Its exit code, and what it said to the person."""
        _, said = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, said

    def end_all(self) -> None:
        """Leave nothing, however the test ends."""
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ValueError):  # both streams were read to their end already
            self._process.communicate()


@contextmanager
def program(spec: StudySpec, *words: str) -> Iterator[Program]:
    """`sweeper run` on a study, or another command; nothing of it outlives the context."""
    called = Program(spec, *words)
    try:
        yield called
    finally:
        called.end_all()


def _is_of_pool(pid: int) -> bool:
    return b"loky" in command_of(pid) and b"resource_tracker" not in command_of(pid)
