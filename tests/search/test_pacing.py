"""Speeds for the hypotheses about them: measured in a worker, kept whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from sweeper.errors import WorkerError
from sweeper.search.verifying import pacing
from sweeper.search.verifying.pacing import Speeds, measure_speeds, read_speeds
from sweeper.search.verifying.verification import BASELINE, Arm, Plan, verification_folder
from sweeper.search.workers.pool import PoolCrash
from sweeper.study import StudySpec
from sweeper.training.setup import Setup
from tests.search.fakes import spec_at

LOKY = {"workers": {"backend": "loky", "count": 2, "threads": 1}}


def arm(name: str, spec: StudySpec, metric: str, **change: Any) -> Arm:
    recipe = spec.hyperparameters_with(change).model_dump(mode="json")
    return Arm(name, recipe, ">", 1, metric)


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    spec = spec_at(tmp_path, **LOKY)
    verification_folder(spec).mkdir(parents=True)
    return spec


@pytest.fixture
def plan(spec: StudySpec) -> Plan:
    arms = (
        arm("lower", spec, "val_loss", learning_rate=1e-4),
        arm("quick", spec, "speed", batch_size=16),
        arm("slow", spec, "speed", batch_size=1),
    )
    return Plan((5,), 0.05, (4, 5, 6, 7, 8), arms, turns=2)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Mock:
    asked = Mock()
    monkeypatch.setattr(pacing, "run_in_workers", asked)
    return asked


def test_one_worker_times_the_baseline_and_what_is_about_speed(
    spec: StudySpec, plan: Plan, workers: Mock
) -> None:
    workers.return_value = [[[100.0, 150.0, 50.0], [90.0, 140.0, 45.0]]]
    measure_speeds(spec, plan, Setup(threads=3, slots=4))
    (_, (order,), threads), _ = workers.call_args
    assert threads == 3
    assert [recipe.batch_size for recipe in order.recipes] == [8, 16, 1]
    assert (order.setup.slots, order.num_turns) == (4, 2)
    found = read_speeds(spec)
    assert found.wall_clock_s >= 0
    assert found.of == {
        BASELINE: [100.0, 90.0],
        "hypothesis:quick": [150.0, 140.0],
        "hypothesis:slow": [50.0, 45.0],
    }


def test_turns_that_were_cut_short_are_not_kept(spec: StudySpec, plan: Plan, workers: Mock) -> None:
    workers.return_value = [[[100.0, 150.0, 50.0]]]
    measure_speeds(spec, plan, Setup(1))
    assert read_speeds(spec) == Speeds()


def test_worker_that_dies_is_told_of(spec: StudySpec, plan: Plan, workers: Mock) -> None:
    workers.side_effect = PoolCrash("it was killed")
    with pytest.raises(WorkerError, match="measured training speeds died: it was killed"):
        measure_speeds(spec, plan, Setup(1))
    assert read_speeds(spec) == Speeds()


def test_interruption_ends_the_worker_too(
    spec: StudySpec, plan: Plan, workers: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = Mock()
    monkeypatch.setattr(pacing, "close_pool", closed)
    workers.side_effect = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        measure_speeds(spec, plan, Setup(1))
    closed.assert_called_once_with(kill=True)
