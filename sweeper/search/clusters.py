"""Dask and Ray: where a cluster's machines run a study's workers, started by joblib."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sweeper.errors import WorkerError
from sweeper.search.outpost import Mission, send_out
from sweeper.search.worker import WorkReport
from sweeper.study import StudySpec

CLUSTERS = ("dask", "ray")
_PATIENCE_SECONDS = 30  # for a cluster that is still starting


def is_on_cluster(spec: StudySpec) -> bool:
    """Whether a study's workers are started on a cluster."""
    return spec.workers.backend in CLUSTERS


def cluster_workers(spec: StudySpec) -> tuple[int, int]:
    """How many workers a cluster has room for, and the CPU threads of each.

    Dask's workers are taken as they are, one of ours for each; Ray has one for every GPU, or else
    for every CPU.

    Raises:
        WorkerError: The extra is missing, or nobody answers at the address.
    """
    with _connected(spec) as options:
        return _dask_workers(**options) if spec.workers.backend == "dask" else _ray_workers()


def run_on_cluster(spec: StudySpec, mission: Mission, count: int) -> list[WorkReport]:
    """Carry out a mission with so many workers, and wait for all.

    Raises:
        WorkerError: The extra is missing, or nobody answers at the address.
    """
    from joblib import Parallel, delayed, parallel_config

    with _connected(spec) as options, parallel_config(backend=spec.workers.backend, **options):
        # One task at a time for each: a batch of joblib's would be worked through in turn.
        parallel = Parallel(n_jobs=count, batch_size=1, pre_dispatch="all")
        reports: list[WorkReport] = parallel(delayed(send_out)(mission) for _ in range(count))
    return reports


@contextlib.contextmanager
def _connected(spec: StudySpec) -> Iterator[dict[str, Any]]:
    """A connection to the cluster, and what joblib has to know of it."""
    backend, address = spec.workers.backend, spec.workers.address
    try:
        connect = _dask if backend == "dask" else _ray
        with connect(address) as options:
            yield options
    except ImportError as error:
        raise WorkerError(
            f"workers.backend: {backend} is not installed ({error}). "
            f"Next: pip install 'sweeper[{backend}]'"
        ) from error
    except (OSError, TimeoutError, ConnectionError) as error:
        raise WorkerError(
            f"workers.address: nobody answers at {address} ({type(error).__name__})"
        ) from error


@contextlib.contextmanager
def _dask(address: str | None) -> Iterator[dict[str, Any]]:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        yield {"client": client}


@contextlib.contextmanager
def _ray(address: str | None) -> Iterator[dict[str, Any]]:
    import ray
    from ray.util.joblib import register_ray

    ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
    try:
        register_ray()
        has_gpus = ray.cluster_resources().get("GPU", 0) > 0
        yield {"ray_remote_args": {"num_gpus": 1}} if has_gpus else {}
    finally:
        ray.shutdown()


def _dask_workers(client: Any) -> tuple[int, int]:
    client.wait_for_workers(1, timeout=_PATIENCE_SECONDS)
    threads = list(client.nthreads().values())
    return len(threads), min(threads)


def _ray_workers() -> tuple[int, int]:
    import ray

    has = ray.cluster_resources()
    gpus, cpus = int(has.get("GPU", 0)), int(has.get("CPU", 1))
    return (gpus, max(cpus // gpus, 1)) if gpus else (cpus, 1)
