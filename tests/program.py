"""The program as a person calls it, in a process of its own or in this one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

DEADLINE_S = 240


@dataclass(frozen=True)
class Ended:
    """How a call ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def start_and_wait(*words: str, cwd: Path, stdin: str = "", **variables: str) -> Ended:
    """Call the program as its own process, with variables added to the environment.

    A second or more for each: for what a process alone can show, such as its pipes and streams.
    """
    done = subprocess.run(
        [sys.executable, "-m", "sweeper", *words],
        cwd=cwd,
        env={**os.environ, **variables},
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def call(*words: str, cwd: Path, stdin: str = "", **variables: str) -> Ended:
    """Call the program in this process: the same words, streams and exit codes."""
    from sweeper.cli import main

    said, told = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["sweeper", *words])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8"))
        patch.setattr(sys, "stdout", said)
        patch.setattr(sys, "stderr", told)
        for name, value in variables.items():
            patch.setenv(name, value)
        try:
            main()
        except SystemExit as end:
            code = end.code
        else:
            code = 0
    assert isinstance(code, int), code
    return Ended(code, *(stream.buffer.getvalue().decode() for stream in (said, told)))


class Here:
    """Stands for the `subprocess.Popen` of a program that calls itself: it runs in this process."""

    def __init__(self, command: list[str], *, stdout: Any, stderr: IO[str]) -> None:
        assert command[:3] == [sys.executable, "-m", "sweeper"]
        ended = call(*command[3:], cwd=Path.cwd())
        stderr.write(ended.stderr)
        self.returncode = ended.returncode

    def poll(self) -> int:
        return self.returncode
