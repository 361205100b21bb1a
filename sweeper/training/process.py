"""A command as a child process: started, listened to, and ended with all that it has started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sweeper.training import keeper

_CHUNK_BYTES = 65_536
_POLL_S = 0.02
_KEEPER_S = 5.0  # for the keeper to kill all that it keeps
_LAST_WORDS_S = 0.2  # for output that was written but not yet read when the command ended


class CommandProcess:
    """One run of a command; as a context it leaves no process behind, however it is left.

    Between us and the command stands its keeper, which ends it when we are killed. Keeper,
    command and their children are one process group in a session of their own, so that neither
    a terminal's Ctrl-C nor a signal to us reaches them by itself.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        environment: All of its variables.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(keeper.__file__)), *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdout is not None and self._process.stdin is not None
        self._output = self._process.stdout
        self._is_open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_all()
        self._output.close()

    @property
    def exit_code(self) -> int:
        """The command's exit code, 128 and more for a signal; it must have ended."""
        code = self._process.wait()
        return 128 - code if code < 0 else code

    def read(self, timeout_s: float) -> bytes | None:
        """What the command has written since, after waiting for it at most so long.

        Returns:
            Nothing yet as no bytes; None once the command has ended and all is read. What
            children of its own still write after its end is not waited for.
        """
        if not self._is_open:
            return self._wait(timeout_s)
        ended = self._process.poll() is not None
        if not self._is_readable(_LAST_WORDS_S if ended else timeout_s):
            return None if ended else b""
        chunk = os.read(self._output.fileno(), _CHUNK_BYTES)
        self._is_open = bool(chunk)
        return chunk

    def _is_readable(self, timeout_s: float) -> bool:
        poll = select.poll()  # unlike select, without a limit on descriptors
        poll.register(self._output, select.POLLIN | select.POLLHUP)
        return bool(poll.poll(timeout_s * 1000))

    def _wait(self, timeout_s: float) -> bytes | None:
        """A command that has closed its output, and may go on in silence."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return b""
        return None

    def end(self, grace_s: float) -> bytes:
        """Ask the command and its children to leave, and after a while make them.

        Returns:
            What it still wrote.
        """
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        written = []
        while (left := deadline - time.monotonic()) > 0:
            chunk = self.read(min(left, _POLL_S))
            if chunk is None:
                break
            written.append(chunk)
        self._end_all()
        return b"".join(written)

    def _end_all(self) -> None:
        """By the keeper, which finds what left its group; by ourselves where it does not answer."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KEEPER_S)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        # The group's number is the keeper's; it cannot be another's while any member lives.
        with suppress(ProcessLookupError, PermissionError):  # macOS: nothing but a zombie left
            os.killpg(self._process.pid, number)
