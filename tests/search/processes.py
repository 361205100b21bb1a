"""What a test has another process do; it loads next to nothing first."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from sweeper.errors import BaseError
from sweeper.search.workers.child import call_in_child
from sweeper.search.workers.nursery import Nursery, NurseryServer


def answer(order: tuple[str, ...]) -> dict[str, object]:
    """Say where this is, and what these variables are."""
    variables = {name: os.environ.get(name) for name in order}
    return {"pid": os.getpid(), "parent": os.getppid(), "variables": variables}


def fail(order: str) -> None:
    """Meet an error that cannot be made again from its message."""

    class OddError(Exception):
        def __init__(self, one: str, two: str) -> None:
            super().__init__(one)

    raise {"odd": OddError("an odd", "defect"), "user": BaseError("no such base")}[order]


def die(number: int) -> None:
    """Say something, and be killed."""
    print("the last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), number)


def be_a_supervisor(
    log: str, address: str | None = None, task: Callable[[object], None] | None = None
) -> None:
    """Have a child that says its number and then does nothing, for ever."""
    call_in_child(task or say_and_wait, None, Nursery(address=address), Path(log))


def serve_and_wait(said: str) -> None:
    """Serve a nursery, say where, and wait for nothing."""
    Path(said).write_text(f"{NurseryServer((), {}).address}\n", "utf-8")
    time.sleep(600)


def say_and_wait(_: object) -> None:
    """Say which process this is, and wait for nothing."""
    print(os.getpid(), flush=True)
    while True:
        time.sleep(60)


def be_here_and_wait(calls: Connection, _: Connection) -> None:
    """The same for `Child` itself: say so to the supervisor, too."""
    calls.send("here")
    say_and_wait(None)


def wait_deaf(_: object) -> None:
    """Say which process this is, and wait in a call that keeps all of Python waiting."""
    print(os.getpid(), flush=True)
    ctypes.PyDLL(None).sleep(600)
