"""A worker on a machine of a cluster: a process of its own, told what to do on its standard input.

What starts it there (a task of Dask or Ray) runs in a thread of somebody else's process, where
neither signals nor children are ours. The input is one line of JSON, and stays open: when it ends,
the task is gone. Its last line of output is how the worker ended.

A run that is gone cannot say so. It keeps a file in the study's folder fresh, and a worker leaves
when that has not changed for a while, by its own clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeper.search.workers.orders import WorkOrder, WorkReport
from sweeper.search.workers.pool import nursery_of
from sweeper.search.workers.worker import train_trials
from sweeper.search.workers.worker_process import quiet_signals, tell_to_stop
from sweeper.study import StudySpec, spec_from_plain, spec_to_plain
from sweeper.training.setup import PrecisionChoice, Setup

STALE_SECONDS = 90.0
_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Mission:
    """A work order that travels: every machine must find the study's folder at the same path.

    Attributes:
        spec: The study's plain form.
        path: Its file.
        setup: What the worker trains with.
        deadline: See `WorkOrder`.
        stop_file: See `WorkOrder`.
        fresh_file: The run's, kept fresh while it lives.
    """

    spec: dict[str, Any]
    path: str
    setup: dict[str, Any]
    deadline: float | None
    stop_file: str
    fresh_file: str

    @classmethod
    def of(cls, order: WorkOrder, fresh_file: Path) -> Mission:
        """An order for a worker elsewhere."""
        return cls(
            spec_to_plain(order.spec),
            str(order.spec.path),
            asdict(order.setup),
            order.deadline,
            str(order.stop_file),
            str(fresh_file),
        )

    def order(self) -> WorkOrder:
        """The order as this machine understands it."""
        spec: StudySpec = spec_from_plain(self.spec, Path(self.path))
        precision = self.setup["precision"]
        setup = Setup(**(self.setup | {"precision": precision and PrecisionChoice(**precision)}))
        nursery = nursery_of(spec, setup.threads)
        return WorkOrder(spec, setup, self.deadline, Path(self.stop_file), None, nursery)


@contextlib.contextmanager
def kept_fresh(file: Path) -> Iterator[None]:
    """Keep a file fresh, while this process lives and works; it is gone afterwards."""
    done = threading.Event()

    def touch() -> None:
        while not done.wait(_LOOK_SECONDS):
            file.touch()

    file.touch()
    thread = threading.Thread(target=touch, name="fresh", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        file.unlink(missing_ok=True)


def send_out(mission: Mission) -> WorkReport:
    """Have a worker carry out a mission on this machine, and wait for it.

    Whatever becomes of it is a value: a task that raises may hang its cluster's pool.
    """
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "sweeper.search.workers.outpost"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        with process:
            # Past Python's buffer, which a process that died before it read would leave full.
            with contextlib.suppress(BrokenPipeError):
                os.write(process.stdin.fileno(), json.dumps(asdict(mission)).encode() + b"\n")
            *_, last = process.stdout.read().splitlines() or [""]
        if not last:
            return WorkReport.of_death(f"a worker died without a word ({process.returncode})")
        return WorkReport(**json.loads(last))
    except (OSError, ValueError, TypeError) as error:
        return WorkReport(f"a worker could not be started, or speaks of something else: {error}", 1)


def main() -> None:
    """Carry out the mission on standard input."""
    mission = Mission(**json.loads(sys.stdin.readline()))
    with quiet_signals():
        _in_a_thread(_leave_with_the_task)
        _in_a_thread(lambda: _leave_with_the_run(Path(mission.fresh_file)))
        report = train_trials(mission.order())
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any longer
        print(json.dumps(asdict(report)), flush=True)


def _in_a_thread(do: Callable[[], None]) -> None:
    threading.Thread(target=do, daemon=True).start()


def _leave_with_the_task() -> None:
    while os.read(0, 4096):
        pass
    tell_to_stop()


def _leave_with_the_run(fresh_file: Path) -> None:
    """Compare the file with itself, as clocks differ between machines."""
    seen, since = None, time.monotonic()
    while time.monotonic() - since < STALE_SECONDS:
        now = fresh_file.stat().st_mtime_ns if fresh_file.exists() else None
        if now is not None and now != seen:
            seen, since = now, time.monotonic()
        time.sleep(_LOOK_SECONDS)
    tell_to_stop()


if __name__ == "__main__":
    main()
