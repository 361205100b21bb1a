"""The lock of a file: waited for, freed by death, and its holder named where it sleeps."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.search.storages import exclusion
from sweeper.search.storages.exclusion import FileExclusion

HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.db-lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-I", "-c", HOLDER, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_holder_that_sleeps_is_named_and_keeps_the_lock(
    path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusion, "LOCK_SECONDS", 0.1)
    holder.send_signal(signal.SIGSTOP)
    waitable = FileExclusion(path)
    with pytest.raises(TimeoutError, match="has held it") as caught, waitable.held(""):
        pass
    assert caught.value.filename == str(path)
    if sys.platform == "linux":
        assert f"process {holder.pid}, which is stopped (kill -CONT {holder.pid}" in str(
            caught.value
        )


def test_it_is_waited_for_until_its_holder_is_dead(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    with FileExclusion(path).held(""):
        assert path.exists()


def test_two_in_one_process_exclude_each_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exclusion, "LOCK_SECONDS", 0.1)
    one, two = FileExclusion(path), FileExclusion(path)
    with one.held(""), pytest.raises(TimeoutError), two.held("another study in the same file"):
        pass
    with two.held(""):
        assert path.exists()
