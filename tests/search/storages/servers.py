"""Servers that the tests start: PostgreSQL from Debian's packages, and our own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
PATIENCE_S = 120


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server on a socket of its own; gives the URL of its database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    home = Path(tempfile.mkdtemp(prefix="sweeper-postgres-"))  # a socket's path must be short
    options: dict[str, object] = {"check": True, "capture_output": True, "cwd": home}
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(home, "nobody", "nogroup")
        options |= {"user": "nobody", "group": "nogroup"}
    data = str(home / "data")

    def call(program: str, *arguments: str) -> None:
        subprocess.run([str(programs[-1] / program), *arguments], **options)  # type: ignore[call-overload]

    try:
        call("initdb", "-D", data, "-U", "sweeper", "-A", "trust", "--no-sync")
        settings = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
        log = str(home / "log")
        call("pg_ctl", "-D", data, "-l", log, "-w", "-o", settings, "start")
        try:
            yield f"postgresql://sweeper@/postgres?host={home}"
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


class Proxy:
    """A process that serves a SQLite file, and can be stopped and started again.

    Args:
        database: The file.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For a study file."""
        return f"grpc://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        code = (
            "from sweeper.search.storages.address import Address as A; "
            "from sweeper.search.storages.serving import serve_storage as serve; "
            f"serve(A('sqlite', 'sqlite:///{self._database}'), '127.0.0.1', {self._port})"
        )
        self._process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline
            assert self._process.poll() is None
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self._port)) == 0

    def kill(self) -> None:
        """End it at once, as a machine that loses its power."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
