"""The example for Kubernetes: its pods are evicted, lost and replaced, and the study ends whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.crew import finish, prepared, progress_of, wait_for
from tests.faults.invariants import Examination
from tests.pods import Job
from tests.search.test_slurm import study_at
from tests.servers import ROOT, PostgresServer

EXAMPLE = ROOT / "studies" / "cluster" / "kubernetes.yaml"


@pytest.fixture
def sweeper_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is in the image."""
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_a_study_file_that_is_wrong_fails_the_job_and_no_pod_is_tried_again(
    tmp_path: Path, sweeper_on_the_path: None
) -> None:
    changes = {"/studies/": "lost.yaml", "--set=storage": "--set=storage=default"}
    with Job(EXAMPLE, changes, tmp_path) as job:
        with pytest.raises(AssertionError, match="the Job has failed"):
            wait_for(job.look, poll_s=0.1)
        assert job.ends == [2]
        assert "lost.yaml  there is no such file" in job.said()


@pytest.mark.long
def test_pods_that_are_evicted_and_lost_train_the_whole_study(
    tmp_path: Path, sweeper_on_the_path: None
) -> None:
    whole = study_at(tmp_path / "whole")
    finish(prepared(whole))
    with PostgresServer() as server:
        spec = study_at(tmp_path / "struck", storage=server.url, name="in pods")
        changes = {
            "/studies/": spec.path.name,
            "--set=storage": f"--set=storage={server.url}",
            "--set=workers.threads": "--set=workers.threads=1",
        }
        with Job(EXAMPLE, changes, spec.folder) as job:

            def train_on() -> None:
                before = progress_of(spec)
                wait_for(lambda: progress_of(spec) > before + 20_000, poll_s=0.05)

            job.evict(3)  # it has hardly begun
            train_on()
            job.evict(0)
            job.evict(1)
            train_on()
            job.lose(2)
            train_on()
            job.evict(job.indices[0])
            wait_for(job.look, poll_s=0.2)

        # As the example says: what a lost pod had in hand is left to it.
        subprocess.run(["sweeper", "run", spec.path.name], cwd=spec.folder, check=True)
        assert Examination(spec, whole).broken() == []
        assert sorted(job.ends) == [0] * 4 + [75] * 4 + [137]
        assert job.failures == 1
