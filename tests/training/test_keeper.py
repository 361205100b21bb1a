"""The keeper between us and a command: its exit code, its signals, and its end with ours."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.training import keeper

KEEPER = [sys.executable, "-I", "-S", str(Path(keeper.__file__))]
PYTHON = [sys.executable, "-I", "-S", "-c"]


def start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*KEEPER, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", 0),
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("import os; os.kill(os.getpid(), 15)", 143),
    ],
)
def test_it_ends_with_the_commands_exit_code(code: str, expected: int) -> None:
    with start(*PYTHON, code) as process:
        assert process.wait() == expected
        assert process.stdin is not None


def test_a_command_that_is_not_there_is_named() -> None:
    with start("no-such-program") as process:
        assert process.wait() == keeper.CANNOT_START
        assert process.stdout is not None
        assert process.stdout.read() == b"no-such-program: No such file or directory\n"


def test_it_leaves_signals_to_the_command() -> None:
    code = "import signal; signal.pause()"
    with start(*PYTHON, f"print('ready', flush=True); {code}") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()  # as when we are gone
        assert process.wait() == -signal.SIGKILL


def test_the_command_reads_nothing_from_us() -> None:
    with start(*PYTHON, "import sys; print(repr(sys.stdin.read()))") as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"''\n"
