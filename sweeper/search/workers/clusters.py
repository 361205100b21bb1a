"""Dask and Ray: where a cluster's machines run a study's workers.

Dask's are started by joblib. Ray's are tasks of its own: joblib runs a single job, where it is told
to use Ray, in this very process, and gives up all of them where one of Ray's processes dies.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from sweeper.errors import WorkerError
from sweeper.search.workers.orders import WorkReport
from sweeper.search.workers.outpost import Mission, send_out
from sweeper.search.workers.signals import LEAVING
from sweeper.study import StudySpec

CLUSTERS = ("dask", "ray")
_PATIENCE_SECONDS = 30  # for a cluster that is still starting


def is_on_cluster(spec: StudySpec) -> bool:
    """Whether a study's workers are started on a cluster."""
    return spec.workers.backend in CLUSTERS


class Cluster(ABC):
    """A connection to the machines of a cluster."""

    @abstractmethod
    def count_workers(self) -> tuple[int, int]:
        """How many workers it has room for, and the CPU threads of each."""

    @abstractmethod
    def run(self, mission: Mission, count: int) -> list[WorkReport]:
        """Carry out a mission with so many workers, and wait for all."""


@contextlib.contextmanager
def cluster_of(spec: StudySpec) -> Iterator[Cluster | None]:
    """The cluster of a study; None where its workers are this machine's.

    To be entered by the main thread: Ray takes over signals, and only there they can be taken back.

    Raises:
        WorkerError: The extra is missing, nobody answers at the address, or we are refused there.
    """
    backend, address = spec.workers.backend, spec.workers.address
    if not is_on_cluster(spec):
        yield None
        return
    with contextlib.ExitStack() as stack:
        yield _connected(backend, address, stack)


def _connected(backend: str, address: str | None, stack: contextlib.ExitStack) -> Cluster:
    try:
        return stack.enter_context((_dask if backend == "dask" else _ray)(address))
    except ImportError as error:
        raise WorkerError(
            f"workers.backend: {backend} is not installed ({error}). "
            f"Next: pip install 'sweeper[{backend}]'"
        ) from error
    except (OSError, TimeoutError, ConnectionError) as error:
        if "InvalidAuthToken" in str(error.__cause__):  # Ray says it there alone
            raise WorkerError(
                f"workers.address: Ray at {address} wants another token than this process has. "
                "Next: RAY_AUTH_MODE=token, and the cluster's token in RAY_AUTH_TOKEN or in a file "
                "(RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token), here and on each of its machines"
            ) from error
        raise WorkerError(
            f"workers.address: no connection to {address} ({_last_line(error)})"
        ) from error


def _last_line(error: BaseException) -> str:
    """What came first, at its most specific."""
    lines = str(error.__cause__ or error).split("\n")
    return next((line for line in reversed(lines) if line.strip()), type(error).__name__)


@contextlib.contextmanager
def _dask(address: str | None) -> Iterator[Cluster]:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        yield _Dask(client)


class _Dask(Cluster):
    """Dask's workers are taken as they are, one of ours for each."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def count_workers(self) -> tuple[int, int]:
        self._client.wait_for_workers(1, timeout=_PATIENCE_SECONDS)
        threads = list(self._client.nthreads().values())
        return len(threads), min(threads)

    def run(self, mission: Mission, count: int) -> list[WorkReport]:
        from distributed import KilledWorker
        from joblib import Parallel, delayed, parallel_config

        with parallel_config(backend="dask", client=self._client):
            # One task at a time for each: a batch of joblib's would be worked through in turn.
            parallel = Parallel(n_jobs=count, batch_size=1, pre_dispatch="all")
            try:
                reports: list[WorkReport] = parallel(
                    delayed(send_out)(mission) for _ in range(count)
                )
            except KilledWorker as error:  # more often than Dask tries a task again
                return [WorkReport.of_death(f"a worker of Dask died: {error}")]
        return reports


@contextlib.contextmanager
def _ray(address: str | None) -> Iterator[Cluster]:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody has been asked
    with _own_answers_to_signals():
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            ignore_reinit_error=True,
        )
    try:
        yield _Ray()
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _own_answers_to_signals() -> Iterator[None]:
    """Keep ours: Ray would have SIGTERM end this process at once, with trials in hand."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = {number: signal.getsignal(number) for number in LEAVING}
    try:
        yield
    finally:
        for number, answer in ours.items():
            signal.signal(number, answer)


class _Ray(Cluster):
    """Ray has one of our workers for every GPU, or else for every CPU."""

    def count_workers(self) -> tuple[int, int]:
        gpus, cpus = self._number_of("GPU"), self._number_of("CPU")
        return (gpus, max(cpus // gpus, 1)) if gpus else (max(cpus, 1), 1)

    def _number_of(self, resource: str) -> int:
        import ray

        return int(ray.cluster_resources().get(resource, 0))

    def run(self, mission: Mission, count: int) -> list[WorkReport]:
        import ray
        from ray.exceptions import RayError

        gpus = min(self._number_of("GPU"), 1)
        task = ray.remote(max_retries=0, num_cpus=1, num_gpus=gpus)(send_out)
        tasks = [task.remote(mission) for _ in range(count)]

        def report_of(task: Any) -> WorkReport:
            try:
                report: WorkReport = ray.get(task)
            except RayError as error:
                return WorkReport.of_death(f"a process of Ray died ({type(error).__name__})")
            return report

        return [report_of(task) for task in tasks]
