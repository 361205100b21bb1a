"""Many processes on each storage: no error, no trial lost, none too many, whoever dies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from sweeper.search import attributes as attrs
from sweeper.search.store import StudyStore
from tests.search.fakes import spec_at
from tests.search.storages.crowd import finish_rest, run_crowd


def crowded(
    storage: str, folder: Path, *, workers: int, trials: int, death: float
) -> tuple[int, Sequence[FrozenTrial]]:
    name = f"{folder.parent.name} {folder.name}"
    deaths = run_crowd(folder, storage, name, workers=workers, trials=trials, death=death)
    spec = spec_at(folder, storage=storage, name=name, budget={"trials": trials})
    store = StudyStore(spec, create=False)
    finish_rest(store)
    return deaths, store.trials()


def assert_nothing_lost(deaths: int, trials: Sequence[FrozenTrial], budget: int) -> None:
    assert [trial.number for trial in trials] == list(range(budget))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert sum(trial.user_attrs.get(attrs.CRASHES, 0) for trial in trials) == deaths


def test_a_few_with_deaths(storage_url: str, tmp_path: Path) -> None:
    deaths, trials = crowded(storage_url, tmp_path, workers=2, trials=8, death=0.15)

    assert_nothing_lost(deaths, trials, 8)


@pytest.mark.long
def test_sixteen_with_two_hundred_trials_each(storage_url: str, tmp_path: Path) -> None:
    deaths, trials = crowded(storage_url, tmp_path, workers=16, trials=3200, death=0.0)

    assert_nothing_lost(deaths, trials, 3200)
