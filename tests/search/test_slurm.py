"""The example for Slurm on a real Slurm: what it takes away and asks to leave goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.study import StudySpec
from tests.faults.crew import finish, prepared, progress_of, wait_for
from tests.faults.ground import trained_study
from tests.faults.invariants import Examination
from tests.servers import ROOT, PostgresServer
from tests.slurm import URGENT, Slurm

EXAMPLE = ROOT / "studies" / "cluster" / "slurm.sbatch"
_TRIALS, _TASKS = 6, 2
_TOKENS = 48_000  # 3,000 steps: some seconds


def study_at(folder: Path, **changes: object) -> StudySpec:
    return trained_study(
        folder,
        _TRIALS,
        budget={"trials": _TRIALS, "tokens_per_trial": _TOKENS},
        evaluate={"block_size": 16, "every_tokens": _TOKENS // 4, "tokens": 64},
        **changes,
    )


@pytest.mark.long
def test_an_array_that_makes_room_and_is_told_of_its_end_trains_the_whole_study(
    tmp_path: Path,
) -> None:
    whole = study_at(tmp_path / "whole")
    finish(prepared(whole))
    with PostgresServer() as server, Slurm() as slurm:
        spec = study_at(tmp_path / "struck", storage=server.url, name="on slurm")
        job = slurm.submit(
            *(f"--array=0-{_TASKS - 1}", "--cpus-per-task=1", "--gres=none"),
            str(EXAMPLE),
            variables={
                "STUDY": "study.yaml",
                "STORAGE": server.url,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            folder=spec.folder,
        )

        def all_are(state: str, restarts: int) -> Callable[[], bool]:
            def holds() -> bool:
                tasks = slurm.tasks(job)
                here = [
                    t for t in tasks if (t["JobState"], t["Restarts"]) == (state, f"{restarts}")
                ]
                return len(here) == len(tasks) == _TASKS

            return holds

        def train_on() -> None:
            before = progress_of(spec)
            wait_for(lambda: progress_of(spec) > before + 50_000, poll_s=0.05)

        train_on()
        urgent = slurm.submit(
            f"--partition={URGENT}", f"--ntasks={_TASKS}", "--wrap=true", folder=tmp_path
        )
        wait_for(all_are("PENDING", 1), poll_s=0.2)
        wait_for(lambda: slurm.tasks(urgent)[0]["JobState"] == "COMPLETED", poll_s=0.2)
        slurm.begin_now(slurm.tasks(job))
        train_on()
        slurm.call("scancel", "--signal=USR1", job)  # as two minutes before its time is up
        wait_for(all_are("PENDING", 2), poll_s=0.2)
        slurm.begin_now(slurm.tasks(job))
        wait_for(all_are("COMPLETED", 2), poll_s=0.2)

        assert Examination(spec, whole).broken() == []
