"""The server that training processes are forked from: for many, and never for longer than they."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.errors import WorkerError
from sweeper.search.workers import nursery
from sweeper.search.workers.child import Child, ChildDied, call_in_child
from sweeper.search.workers.nursery import Nursery, NurseryServer
from tests.faults.processes import children_of, fork_servers_of, is_alive
from tests.search.processes import answer, be_here_and_wait
from tests.search.test_runner import wait_for

HERE = Path(__file__).parent.parent.parent


@pytest.fixture
def server() -> Iterator[NurseryServer]:
    server = NurseryServer((), {})
    yield server
    server.close()


def nursery_at(server: NurseryServer) -> Nursery:
    return Nursery(address=server.address)


def start(call: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", f"from tests.search.processes import *; {call}"],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        start_new_session=True,
    )


def said_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    wait_for(lambda: log.exists() and log.read_text().endswith("\n"), but=process.poll)
    return log.read_text().strip()


def test_one_server_forks_for_many(server: NurseryServer, tmp_path: Path) -> None:
    log = tmp_path / "log"
    other = start(f"be_a_supervisor({str(log)!r}, {server.address!r})")
    try:
        its_child = int(said_in(log, other))
        ours = call_in_child(answer, (), nursery_at(server), tmp_path / "ours")

        assert its_child in children_of(int(str(ours["parent"])))
        assert ours["parent"] not in (os.getpid(), other.pid)
    finally:
        other.kill()
        other.wait()
    wait_for(lambda: not is_alive(its_child))
    assert call_in_child(answer, (), nursery_at(server), log)["parent"] == ours["parent"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread of its own has to end it")
def test_a_child_that_does_not_let_python_run_ends_with_its_supervisor(
    server: NurseryServer, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    supervisor = start(f"be_a_supervisor({str(log)!r}, {server.address!r}, wait_deaf)")
    child = int(said_in(log, supervisor))

    supervisor.kill()
    supervisor.wait()

    wait_for(lambda: not is_alive(child))


def test_a_server_that_was_killed_takes_its_children_along_and_is_replaced(
    server: NurseryServer, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    first = call_in_child(answer, (), nursery_at(server), tmp_path / "first")["parent"]
    with Child(be_here_and_wait, (), nursery_at(server), log) as child:
        assert child.receive(timeout_s=30) == "here"
        os.kill(int(str(first)), signal.SIGKILL)
        with pytest.raises(ChildDied, match="SIGKILL"):
            while child.receive(timeout_s=30) is None:
                pass

    second = call_in_child(answer, (), nursery_at(server), log)["parent"]

    assert second not in (first, os.getpid())
    assert not server.is_alive


def test_it_outlives_who_started_it_as_long_as_a_child_does(tmp_path: Path) -> None:
    owner = start(f"serve_and_wait({str(tmp_path / 'address')!r})")
    address = said_in(tmp_path / "address", owner)
    with Child(be_here_and_wait, (), Nursery(address=address), tmp_path / "log") as child:
        assert child.receive(timeout_s=30) == "here"
        (server,) = children_of(owner.pid)
        owner.kill()
        owner.wait()

        again = call_in_child(answer, (), Nursery(address=address), tmp_path / "again")
        assert again["parent"] == server

    wait_for(lambda: not is_alive(server))
    assert not Path(address).parent.exists()


def test_a_folder_for_what_is_temporary_may_have_a_long_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    server = NurseryServer((), {})
    try:
        assert call_in_child(answer, (), nursery_at(server), tmp_path / "log")["pid"]
    finally:
        server.close()
    assert not [*long.iterdir()]
    assert not Path(server.address).parent.exists()


def test_where_nothing_temporary_can_be_written_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))

    with pytest.raises(WorkerError, match=r"No such file.* or set TMPDIR to another folder"):
        NurseryServer((), {})


def test_one_that_says_nothing_keeps_nobody_waiting(server: NurseryServer, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(server.address)

        assert call_in_child(answer, (), nursery_at(server), tmp_path / "log")["pid"]

        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # it was not sent away first
            silent.recv(1)


def test_a_death_is_told_where_the_server_is_suspended(
    server: NurseryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nursery, "_LAST_SECONDS", 0.2)
    with Child(be_here_and_wait, (), nursery_at(server), tmp_path / "log") as child:
        assert child.receive(timeout_s=30) == "here"
        wait_for(lambda: child.written().endswith("\n"))
        pid = int(child.written())
        (parent,) = [each for each in fork_servers_of(os.getpid()) if pid in children_of(each)]
        os.kill(parent, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)

        with pytest.raises(ChildDied, match="SIGKILL"):
            child.receive(timeout_s=30)


def test_only_this_user_can_ask_it_for_anything(server: NurseryServer) -> None:
    assert Path(server.address).parent.stat().st_mode & 0o077 == 0
