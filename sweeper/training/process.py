"""A command as a child process: started, listened to, and ended with all that it has started."""

from __future__ import annotations

import os
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


class CommandProcess:
    """One run of a command; as a context it leaves no process behind, however it is left.

    Between us and the command stands its keeper, which ends it when we are killed. Keeper,
    command and their children are one process group in a session of their own, so that neither
    a terminal's Ctrl-C nor a signal to us reaches them by itself.

    It writes into a file and we read behind it, so that nothing is lost of what it said when we
    are killed: through a pipe that would be all that we had not read.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        environment: All of its variables.
        log: Gets all that it writes, after what stands there already.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        with log.open("ab") as written:
            self._output = log.open("rb", buffering=0)
            self._output.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(keeper.__file__)), *command],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

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
        deadline = time.monotonic() + timeout_s
        while True:
            has_ended = self._process.poll() is not None
            if chunk := self._output.read(_CHUNK_BYTES):
                return chunk
            if has_ended:
                return None
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return b""
            time.sleep(min(left_s, _POLL_S))

    def end(self, grace_s: float) -> None:
        """Ask the command and its children to leave, and after a while make them."""
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self._end_all()

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
