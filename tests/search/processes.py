"""What a test has another process do."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sweeper.errors import BaseError
from sweeper.search.workers.child import call_in_child
from sweeper.search.workers.nursery import Nursery, NurseryServer
from sweeper.search.workers.orders import WorkOrder, WorkReport
from sweeper.search.workers.outpost import Mission


def report_processes(order: WorkOrder) -> WorkReport:
    """Train nothing, and say where that was."""
    threads = os.environ.get("OMP_NUM_THREADS")
    assert order.parent_pid is not None
    return WorkReport(f"{os.getpid()} under {order.parent_pid}, {threads} thread", 7)


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


def wait_deaf(_: object) -> None:
    """Say which process this is, and wait in a call that keeps all of Python waiting."""
    print(os.getpid(), flush=True)
    ctypes.PyDLL(None).sleep(600)


def report_mission(mission: Mission) -> WorkReport:
    """Train nothing, and say what for."""
    return WorkReport(f"would have worked on {mission.path}", 7)
