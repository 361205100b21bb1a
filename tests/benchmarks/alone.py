"""One trial alone, by the door that a study goes through; the counterpart of `lean`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from tests.benchmarks.job import Job
from tests.benchmarks.lean import WARM_STEPS
from tests.benchmarks.ours import read_points, run_job


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Median seconds of a step of a study with one trial, and its last training loss."""
    job = Job.read(payload["job"])
    threads = payload["threads"]
    run_job(job, precision="fp32", workers={"count": 1, "threads": threads})
    points = read_points(job, 0)
    seconds = [(b.seconds or 0.0) - (a.seconds or 0.0) for a, b in pairwise(points)]
    return {
        "step_s": statistics.median(seconds[WARM_STEPS:]),
        "tokens_per_step": job.recipes[0].tokens_per_step,
        "threads": threads,
        "last_train_loss": points[-1].train_loss,
    }
