"""Servers that the tests start: PostgreSQL from Debian's packages, and our own.

None outlives the test run, however that ends. A signal at a parent's death would be lost where
PostgreSQL starts itself again; so a shell in a session of its own, the guard, waits for the end of
its input, which the kernel brings about when the run is gone, and ends the server then.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal, Self

import psutil
import pytest

ROOT = Path(__file__).parent.parent
PATIENCE_S = 120
_GUARD = 'cat > /dev/null; "$1" -D "$2/data" -m immediate stop; rm -rf "$2"'


class PostgresServer:
    """A PostgreSQL server on a socket of its own; as a context, it runs, and is gone afterwards."""

    def __init__(self) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not programs:
            pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
        self._programs = programs[-1]
        # A socket's path must be short.
        self._home = Path(tempfile.mkdtemp(prefix="sweeper-postgres-"))
        self._as: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(self._home, "nobody", "nogroup")
            # Not by `user` of subprocess, which forks for it: what gRPC then does in the child
            # has now and again ended it.
            self._as = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]

    @property
    def url(self) -> str:
        """Of its database."""
        return f"postgresql://sweeper@/postgres?host={self._home}"

    def __enter__(self) -> Self:
        guard = [*self._as, "sh", "-c", _GUARD, "guard"]
        guard += [str(self._programs / "pg_ctl"), str(self._home)]
        self._guard = subprocess.Popen(
            guard,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        try:
            self._call("initdb", "-U", "sweeper", "-A", "trust", "--no-sync")
            self.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._guard.communicate(timeout=PATIENCE_S)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        own = f"-c listen_addresses='' -c unix_socket_directories={self._home} -c fsync=off"
        self._call("pg_ctl", "-l", str(self._home / "log"), "-w", "-o", own, "start")

    def stop(self, mode: Literal["fast", "immediate"]) -> None:
        """End it: as an administrator would, or as a machine that loses its power."""
        self._call("pg_ctl", "-m", mode, "-w", "stop")

    def signal(self, number: int) -> None:
        """Send a signal to it and to all its processes."""
        words = (self._home / "data" / "postmaster.pid").read_text().split()
        server = psutil.Process(int(words[0]))
        for process in (server, *server.children(recursive=True)):
            process.send_signal(number)

    def _call(self, program: str, *arguments: str) -> None:
        # Into a file: a server would hold on to a pipe.
        with (self._home / "said").open("w+b") as said:
            command = [*self._as, str(self._programs / program)]
            command += ["-D", str(self._home / "data"), *arguments]
            code = subprocess.run(
                command,
                check=False,
                timeout=PATIENCE_S,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=self._home,
            ).returncode
            said.seek(0)
            assert code == 0, said.read().decode(errors="replace")


# A server of our own ends with the thread that started it: the kernel sees to that (Linux).
_SERVE = """
import sys
from sweeper.search.workers.forking import die_with_parent
die_with_parent()
from sweeper.cli import main
sys.argv[0] = "sweeper"
main()
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Proxy:
    """`sweeper storage serve` as a process that can be killed, stopped and started again.

    Args:
        study: The file of a study.
        overrides: Of its keys, as `--set` has them.
    """

    def __init__(self, study: Path, *overrides: str) -> None:
        self._port = free_port()
        options = [word for override in overrides for word in ("--set", override)]
        self._command = [sys.executable, "-c", _SERVE, "storage", "serve", str(study)]
        self._command += [*options, "--port", str(self._port)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For a study file."""
        return f"grpc://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline
            assert self._process.poll() is None
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self._port)) == 0

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a machine that loses its power."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
