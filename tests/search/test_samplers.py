from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from sweeper.search.drawing.prescribed import most_trials
from sweeper.search.drawing.samplers import grid_values
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec
from tests.search.fakes import claimed, params, result, run_faked, spec_at

pytestmark = pytest.mark.usefixtures("stored_in_memory")

SAMPLERS = ["tpe", "random", "qmc", "cmaes", "gp"]
GRID: dict[str, Any] = {"block_size": [16, 32], "rank": {"low": 1, "high": 5, "step": 2}}


def study_of(folder: Path, sampler: str, **changes: Any) -> StudySpec:
    changes.setdefault("budget", {"trials": 6})
    return spec_at(folder, search={"sampler": sampler, "startup_trials": 3}, **changes)


@pytest.mark.parametrize("sampler", [*SAMPLERS, "grid", "list"])
def test_every_sampler_runs_a_study_to_its_end(tmp_path: Path, sampler: str) -> None:
    special: dict[str, dict[str, Any]] = {
        "grid": {"space": GRID},
        "list": {"space": {}, "trials": [{"rank": r} for r in (1, 3, 4, 5, 6)]},
    }
    store = StudyStore(study_of(tmp_path, sampler, **special.get(sampler, {})), create=True)

    claims = run_faked(store)

    assert [claim.number for claim in claims] == [0, 1, 2, 3, 4, 5]
    assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE] * 6
    assert len({claim.hyperparameters.model_dump_json() for claim in claims}) == 6


@pytest.mark.parametrize("sampler", [*SAMPLERS, "grid"])
def test_a_resumed_study_draws_what_an_uninterrupted_one_does(tmp_path: Path, sampler: str) -> None:
    changes = {"space": GRID} if sampler == "grid" else {}
    whole = StudyStore(study_of(tmp_path / "whole", sampler, **changes), create=True)
    run_faked(whole)

    for trials in (3, 5, 6):
        spec = study_of(tmp_path / "parts", sampler, budget={"trials": trials}, **changes)
        part = StudyStore(spec, create=True)
        run_faked(part)

    assert params(part) == params(whole)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_startup_draws_do_not_depend_on_which_worker_asks(tmp_path: Path, sampler: str) -> None:
    alone = StudyStore(study_of(tmp_path / "alone", sampler), create=True)
    for _ in range(6):
        claimed(alone)
    spec = study_of(tmp_path / "two", sampler)
    workers = [StudyStore(spec, create=True), StudyStore(spec, create=False)]
    for turn in (0, 0, 1, 0, 1, 1):
        claimed(workers[turn], f"worker {turn}")

    assert params(workers[0]) == params(alone)
    rates = [drawn["learning_rate"] for drawn in params(workers[0])]
    assert len(set(rates)) == len(rates)


def test_another_seed_draws_other_trials(tmp_path: Path) -> None:
    stores = [
        StudyStore(study_of(tmp_path / str(seed), "random", seed=seed), create=True)
        for seed in (1, 2)
    ]
    for store in stores:
        run_faked(store)

    one, other = (params(store)[1:] for store in stores)
    assert all(a["learning_rate"] != b["learning_rate"] for a, b in zip(one, other, strict=True))


def test_a_grid_gives_every_point_once_and_then_ends(tmp_path: Path) -> None:
    spec = study_of(tmp_path, "grid", space=GRID, budget={"trials": 50})
    store = StudyStore(spec, create=True)

    run_faked(store)

    sampled = [(drawn["block_size"], drawn["rank"]) for drawn in params(store)[1:]]
    assert sorted(sampled) == [(16, 1), (16, 3), (16, 5), (32, 1), (32, 3), (32, 5)]
    assert most_trials(spec) == 7
    assert not store.may_ask()


def test_a_grid_of_two_workers_gives_every_point_once(tmp_path: Path) -> None:
    spec = study_of(tmp_path, "grid", space=GRID, budget={"trials": 50})
    workers = [StudyStore(spec, create=True), StudyStore(spec, create=False)]
    held = [claimed(workers[turn % 2], f"worker {turn % 2}") for turn in range(7)]
    for turn, claim in enumerate(held):  # none saw another's end
        assert workers[turn % 2].finish(claim, result())

    sampled = [(drawn["block_size"], drawn["rank"]) for drawn in params(workers[0])[1:]]
    assert len(set(sampled)) == 6
    assert workers[1].claim("worker 1") is None


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (CategoricalDistribution(["b", "a"]), ["b", "a"]),
        (IntDistribution(4, 16, step=4), [4, 8, 12, 16]),
        (FloatDistribution(0.0, 0.3, step=0.1), [0.0, 0.1, 0.2, 0.3]),
        (FloatDistribution(1e-4, 3e-4, step=1e-4), [1e-4, 2e-4, 3e-4]),
    ],
)
def test_grid_values_are_the_written_ones(distribution: Any, values: list[Any]) -> None:
    assert grid_values(distribution) == values


def test_tpe_prefers_what_ended_less_badly(tmp_path: Path) -> None:
    """Plateaus at high rates, spikes at low ones: the spikes lasted longer and reached less."""
    from sweeper.curves import StopReason

    spec = spec_at(
        tmp_path,
        budget={"trials": 100},
        space={"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}},
        search={"sampler": "tpe", "startup_trials": 10},
    )
    store = StudyStore(spec, create=True)
    for _ in range(14):
        claim = claimed(store)
        high = claim.hyperparameters.learning_rate > 3e-3
        store.report(claim, 1000, 5.5)
        if not high:
            store.report(claim, 3000, 3.0)
        reason = StopReason.PLATEAU if high else StopReason.SPIKE
        store.finish(claim, result(reason, 5.5 if high else 3.0, best_val_loss=5.0))

    drawn = [claimed(store).hyperparameters.learning_rate for _ in range(6)]

    assert sum(rate > 3e-3 for rate in drawn) >= 5
