"""The stock arm once more, with its sums in other orders: how far it is from itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.benchmarks.job import Job
from tests.benchmarks.stock import Settings, run_job


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The final losses of a job's trials under each of the settings."""
    job = Job.read(payload["job"])
    losses = []
    for number, settings in enumerate(payload["settings"]):
        folder = job.folder / str(number)
        folder.mkdir()
        record = run_job(replace(job, folder=folder), Settings(**settings))
        losses.append([trial.val_loss for trial in record.trials])
    return {"losses": losses}
