"""The memory of a study with one trial, and with several at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.job import Job
from tests.benchmarks.ours import run_job

SAMPLE_S = 0.1


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Peak memory of the workers of a study, in MiB, and how many trials were running at once."""
    job = Job.read(payload["job"])
    with _Sampler() as sampler:
        record = run_job(job, precision="fp32", workers=payload["workers"])
    return {
        "num_trials": len(job.recipes),
        "at_once": record.notes["at_once"],
        "peak_mib": sampler.peak_mib,
    }


class _Sampler:
    """The largest sum of this process's children's memory, shared pages counted once."""

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        own = psutil.Process()
        while not self._done.wait(SAMPLE_S):
            pids = [child.pid for child in own.children(recursive=True)]
            self.peak_mib = max(self.peak_mib, sum(map(_proportional_mib, pids)))


def _proportional_mib(pid: int) -> float:
    """The kernel's proportional set size; where it tells none, the resident one."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        return 0.0
    except OSError:
        pass
    if os.path.isdir("/proc"):  # noqa: PTH112  # it has ended
        return 0.0
    try:
        return psutil.Process(pid).memory_info().rss / 2**20
    except psutil.Error:
        return 0.0
