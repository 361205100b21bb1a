"""Workers as processes of their own that a fault can kill, stop and starve."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from sweeper.search.runner import make_stop_file
from sweeper.search.store import StudyStore
from sweeper.search.workers.crew import assumed_crew
from sweeper.search.workers.orders import WorkOrder, WorkReport
from sweeper.search.workers.pool import nursery_of
from sweeper.search.workers.trainers import new_trainer
from sweeper.search.workers.worker import train_trials
from sweeper.study import StudySpec
from tests.faults.processes import children_of, descendants, fork_servers_of

PATIENCE_S = 240.0
# Imported once for all workers, what they would else import at their first use included.
_PRELOADED = (
    *("sweeper.search.workers.worker", "sweeper.training.shift", "tests.faults.crew"),
    *("sqlalchemy.orm", "sqlalchemy.dialects.sqlite", "alembic.command", "optuna_dashboard"),
    *("optuna.storages._rdb.storage", "transformers.models.gpt2.modeling_gpt2"),
)


@dataclass(frozen=True)
class Terms:
    """Under what a worker works.

    Attributes:
        lease_s: How long its leases last; they are renewed five times as often. None: as ever.
        memory_bytes: How much address space it may have beyond what it begins with. None: any.
        call_s: How long a server may take for an operation before it counts as away. None: as ever.
        in_child: Whether it trains in a child, as those of `sweeper run` do, or by itself, which
            begins sooner.
    """

    lease_s: float | None = None
    memory_bytes: int | None = None
    call_s: float | None = None
    in_child: bool = False


AS_EVER = Terms()


def prepared(spec: StudySpec) -> WorkOrder:
    """Make a study as `sweeper run` would, up to starting workers: what these are told."""
    StudyStore(spec, create=True)
    (spec.output_folder / "workers").mkdir(exist_ok=True)
    new_trainer(spec).prepare(lambda *_: None)
    return WorkOrder(spec, assumed_crew(spec).setup, None, make_stop_file(spec), None)


class Worker:
    """A process that trains trials until none is left. Killed at the latest with its context."""

    def __init__(self, process: BaseProcess, ear: Connection) -> None:
        self._process = process
        self._ear = ear

    @property
    def pid(self) -> int:
        """Its process, which is not reaped before `wait`."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> bool:
        """SIGKILL; whether it was alive to be struck by it."""
        self._process.kill()
        return self.wait() == -signal.SIGKILL

    def below(self) -> list[int]:
        """Live processes that it started, directly or not."""
        return descendants(self.pid)

    def children(self) -> list[int]:
        """Those in which it trains: forked by its fork server, which it started."""
        return [pid for server in fork_servers_of(self.pid) for pid in children_of(server)]

    def wait(self) -> int:
        """Its exit code, negative for a signal; an error where it never ends."""
        self._process.join(PATIENCE_S)
        assert self._process.exitcode is not None, "a worker does not end"
        return self._process.exitcode

    def report(self) -> WorkReport:
        """How it ended by itself."""
        assert self.wait() == 0, "a worker died"
        report = self._ear.recv()
        assert isinstance(report, WorkReport)
        return report


@contextmanager
def worker(order: WorkOrder, terms: Terms = AS_EVER) -> Iterator[Worker]:
    """Start a worker, from a server that has imported all there is to import: in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_PRELOADED])
    ear, mouth = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(order, terms, mouth))
    process.start()
    mouth.close()
    try:
        yield Worker(process, ear)
    finally:
        process.kill()
        process.join(PATIENCE_S)
        ear.close()


def finish(order: WorkOrder, terms: Terms = AS_EVER) -> None:
    """Let one worker take up all that is left, and train it to the end."""
    with worker(order, terms) as last:
        assert last.report() == WorkReport()


def progress_of(spec: StudySpec) -> int:
    """Bytes of all its curves: another number, and somebody trains."""
    return sum(path.stat().st_size for path in spec.output_folder.glob("trials/*/curve.jsonl"))


def wait_for(what: Callable[[], object], *, poll_s: float = 0.005) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: It never does.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, f"waited in vain for {what.__name__}"
        time.sleep(poll_s)


def _work(order: WorkOrder, terms: Terms, mouth: Connection) -> None:
    """The whole life of a worker's process."""
    from sweeper.search import leases
    from sweeper.search.workers import holding

    if terms.lease_s is not None:
        leases.LEASE_SECONDS = terms.lease_s
        holding.RENEW_SECONDS = terms.lease_s / 5
    if terms.call_s is not None:
        from sweeper.search.storages import postgres, proxy

        proxy.CALL_SECONDS = postgres.ANSWER_SECONDS = terms.call_s
        postgres.TURN_SECONDS = terms.call_s / 2
    if terms.memory_bytes is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + terms.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if terms.in_child:
        order = replace(order, nursery=nursery_of(order.spec, order.setup.threads))
    mouth.send(train_trials(order))
