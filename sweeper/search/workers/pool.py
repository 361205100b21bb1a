"""The processes in which workers run; they stay warm from one call to the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from sweeper.search.workers.child import ChildDied
from sweeper.search.workers.gpus import found_gpus, gpu_variables
from sweeper.search.workers.nursery import Nursery, NurseryServer
from sweeper.search.workers.trainers import training_modules
from sweeper.study import StudySpec

# Read by the libraries under torch and numpy when a worker imports them.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Large tensors come and go at every step: glibc would give each back to the system, and
# fault every page of it in again. Read by glibc when a process starts, ignored elsewhere.
MEMORY_VARIABLES = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),  # the most that glibc takes
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 26),
}

_executors: list[Any] = []  # loky's, of this process
_servers: dict[tuple[str, ...], NurseryServer] = {}  # by what they load, for all workers here
_Order = TypeVar("_Order")
_Answer = TypeVar("_Answer")


def nursery_of(spec: StudySpec, threads: int, worker: int | None = None) -> Nursery:
    """Where processes come from that train a study: a server of whoever uses it.

    Args:
        spec: The study.
        threads: CPU threads of each.
        worker: Number of the worker on this machine, which has one GPU of them to itself; None:
            all that are there.
    """
    gpu = {} if worker is None else gpu_variables(worker, found_gpus(os.environ))
    return Nursery(training_modules(spec), _variables(threads) | gpu)


def shared_nursery(spec: StudySpec, threads: int, worker: int) -> Nursery:
    """The same for a worker of a pool: one server for all, of this process, until `close_pool`.

    Torch is loaded once, beside the workers while they start, and is once in memory. It begins
    with one thread, whatever the workers train with: that they set themselves.
    """
    return replace(nursery_of(spec, threads, worker), address=_server_of(spec).address)


@contextmanager
def warming_up(spec: StudySpec) -> Iterator[None]:
    """Have torch loaded for workers to come, while this process still reads what there is to do."""
    if spec.workers.backend == "loky":
        _server_of(spec)
    try:
        yield
    finally:
        _close_servers()


def _server_of(spec: StudySpec) -> NurseryServer:
    modules = training_modules(spec)
    server = _servers.get(modules)
    if server is None or not server.is_alive:
        server = _servers[modules] = NurseryServer(modules, _variables(1))
    return server


def _close_servers() -> None:
    while _servers:
        _servers.popitem()[1].close()


def _variables(threads: int) -> dict[str, str]:
    return {name: str(threads) for name in THREAD_VARIABLES} | MEMORY_VARIABLES


class PoolCrash(Exception):
    """A worker's process died."""


def run_in_workers(
    task: Callable[[_Order], _Answer], orders: Sequence[_Order], threads: int
) -> list[_Answer]:
    """Give every worker its order, and wait for all.

    Args:
        task: Importable; its answer is a plain value.
        orders: Likewise; one for each worker, a process of its own.
        threads: CPU threads of each.

    Raises:
        PoolCrash: One died, in its own words.
    """
    # Not by `joblib.Parallel`, which runs a single job in this very process.
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import ShutdownExecutorError, TerminatedWorkerError

    executor = get_reusable_executor(max_workers=len(orders), env=_variables(threads))
    if executor not in _executors:
        _executors.append(executor)
    try:
        futures = [executor.submit(task, order) for order in orders]
        for future in as_completed(futures):
            future.result()  # the first that failed: others may wait for it in vain
        return [future.result() for future in futures]
    except ChildDied as error:
        close_pool(kill=True)
        raise PoolCrash(str(error)) from error
    except (TerminatedWorkerError, ShutdownExecutorError) as error:
        raise PoolCrash(str(error).strip().splitlines()[0]) from error


def close_pool(*, kill: bool = False) -> None:
    """End the workers: once they have nothing to do, or at once."""
    while _executors:
        _executors.pop().shutdown(wait=not kill, kill_workers=kill)
    _close_servers()
