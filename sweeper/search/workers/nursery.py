"""Where training processes come from: forked by a server that has torch loaded; see `forking`."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from sweeper.errors import WorkerError
from sweeper.search.workers.forking import NUM_DESCRIPTORS, NUMBER

_SOCKET = "socket"
_LAST_SECONDS = 10.0  # for the server to say how a process ended that has
_MOST_PATH_BYTES = 100  # of a Unix socket's address; the system's limit is a little higher
_BEGIN = """
import sys
sys.path[:] = {path!r}
from sweeper.search.workers.child import run_as_told
from sweeper.search.workers.forking import main
main(run_as_told, sys.argv[1:])
"""

_own: dict[Nursery, NurseryServer] = {}  # of this process, for what has nobody else's


class NurseryGone(Exception):
    """The process that should have forked another has ended."""


class Forked:
    """A process that was forked for this one.

    Args:
        pid: Its number.
        ear: Where the server says how it ended.
        lifeline: Our end; when this process is gone, so is the other.
    """

    def __init__(self, pid: int, ear: int, lifeline: int) -> None:
        self.pid = pid
        self._ear = Connection(ear, writable=False)
        self._lifeline = Connection(lifeline, readable=False)
        self._exit_code: int | None = None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """How it ended, negative for a signal, after waiting for it at most so long.

        Returns:
            None while it lives. Where nobody can say, -SIGKILL: what forked it is gone, and the
            kernel has killed it with that.
        """
        if self._exit_code is None and wait([self._ear], timeout_s):
            said = os.read(self._ear.fileno(), NUMBER.size)
            self._exit_code = NUMBER.unpack(said)[0] if said else -signal.SIGKILL
        return self._exit_code

    def end(self) -> int:
        """How it ended, which it has, or is about to.

        Returns:
            -SIGKILL where nobody says so within seconds: what forked it is suspended.
        """
        if self.wait(_LAST_SECONDS) is None:
            self._exit_code = -signal.SIGKILL
        assert self._exit_code is not None
        return self._exit_code

    def signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.wait(0) is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def close(self) -> None:
        """End it at once, if it has not ended."""
        self.signal(signal.SIGKILL)
        self.end()
        self._ear.close()
        self._lifeline.close()


@dataclass(frozen=True)
class Nursery:
    """What training processes begin with; plain values.

    Attributes:
        modules: What is loaded once, before the first: what only imports, and starts no thread.
        variables: Of the environment, beside those of whom a process works for. Some are read by
            libraries when they are loaded, or by glibc when a process starts.
        address: Of a server that others use, too, which may have begun with other variables; None
            for one of this process's own.
    """

    modules: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    address: str | None = None

    def open(self) -> None:
        """Start the process that others are forked from, if there is none yet.

        It loads its modules while this one goes on.
        """
        if self.address is None:
            self._own_server()

    def all_variables(self) -> dict[str, str]:
        """What a process's environment is."""
        return {**os.environ, **self.variables}

    def fork(self, calls: Connection, orders: Connection) -> Forked:
        """A new process, which does what it is told on `calls`; see `run_as_told`.

        Args:
            calls: Its end of a two-way connection; still to be closed here.
            orders: Its end of a one-way connection to it; likewise.

        Raises:
            NurseryGone: The server ended before it forked it.
            WorkerError: There is none, and none can be started.
        """
        if self.address is not None:
            with suppress(NurseryGone):  # then by one of our own
                return _forked_at(self.address, calls, orders)
        return _forked_at(self._own_server().address, calls, orders)

    def _own_server(self) -> NurseryServer:
        server = _own.get(self)
        if server is None or not server.is_alive:
            server = _own[self] = NurseryServer(self.modules, self.variables)
            atexit.register(server.close)
        return server


def _forked_at(address: str, calls: Connection, orders: Connection) -> Forked:
    its_lifeline, lifeline = os.pipe()
    ear, mouth = os.pipe()
    given = [calls.fileno(), orders.fileno(), its_lifeline, mouth]
    assert len(given) == NUM_DESCRIPTORS
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(address)
            socket.send_fds(server, [b"\0"], given)
            said = server.recv(NUMBER.size, socket.MSG_WAITALL)
        if len(said) < NUMBER.size:
            raise NurseryGone("it ended before it forked")
    except (OSError, NurseryGone) as error:
        os.close(ear)
        os.close(lifeline)
        raise NurseryGone(str(error)) from error
    finally:
        os.close(its_lifeline)
        os.close(mouth)
    return Forked(NUMBER.unpack(said)[0], ear, lifeline)


class NurseryServer:
    """The process that others are forked from, on its way or ready; whoever forks, waits for it.

    It ends after this process, once all have ended that it has forked, or with `close`.

    Args:
        modules: See `Nursery`.
        variables: Likewise.

    Raises:
        WorkerError: It cannot be started.
    """

    def __init__(self, modules: Sequence[str], variables: Mapping[str, str]) -> None:
        self._is_closed = False
        try:
            folder = _new_folder()
            self.address = str(folder / _SOCKET)
            its_end, self._owning = os.pipe()
            try:
                self._process = self._started(its_end, folder, modules, variables)
            finally:
                os.close(its_end)
        except OSError as error:
            raise WorkerError(
                f"no process to train in can be started ({error}). Next: make room for processes "
                f"and in {tempfile.gettempdir()}, or set TMPDIR to another folder"
            ) from error

    def _started(
        self, its_end: int, folder: Path, modules: Sequence[str], variables: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen()
            descriptors = (listener.fileno(), its_end)
            begin = _BEGIN.format(path=[*map(str, sys.path)])
            words = map(str, (*descriptors, folder, *modules))
            return subprocess.Popen(
                [sys.executable, "-c", begin, *words],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
            )

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it at once, and with it all that it has forked."""
        if self._is_closed:
            return
        self._is_closed = True
        self._process.kill()
        self._process.wait()
        os.close(self._owning)
        shutil.rmtree(Path(self.address).parent, ignore_errors=True)


def _new_folder() -> Path:
    """A folder of our own, which nobody else can look into, with a path that a socket may have."""
    folder = tempfile.mkdtemp(prefix="sweeper-")
    if len(os.fsencode(folder)) + len(_SOCKET) >= _MOST_PATH_BYTES:
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="sweeper-", dir="/tmp")  # a fresh one
    return Path(folder)
