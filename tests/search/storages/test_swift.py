"""Trials are listed as Optuna lists them, and an ended one is read once."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from sweeper.search.storages.address import Address
from sweeper.search.storages.opening import open_storage


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def swift(url: str) -> BaseStorage:
    return open_storage(Address("sqlite", url)).storage


def _study(storage: BaseStorage, name: str = "small") -> optuna.Study:
    sampler = optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(
        study_name=name, storage=storage, sampler=sampler, load_if_exists=True
    )


def _ask(study: optuna.Study) -> optuna.Trial:
    """A trial with every kind of parameter and attribute."""
    trial = study.ask()
    trial.suggest_categorical("schedule", ["constant", "linear", None])
    trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    trial.suggest_int("batch", 4, 32, step=4)
    trial.set_user_attr("lease", {"owner": "me", "expires_at": 1.5})
    trial.set_constraint("violation", 2.0)
    for step, value in enumerate((5.0, math.inf, -math.inf, math.nan)):
        trial.report(value, step)
    return trial


def _as_optuna_lists_them(url: str, name: str) -> list[str]:
    storage = RDBStorage(url)
    trials = storage.get_all_trials(storage.get_study_id_from_name(name))
    return [*map(_told, trials)]


def _told(trial: FrozenTrial) -> str:
    """All of a trial, whatever the order of its attributes; NaN equals itself."""
    parts = [
        sorted(map(repr, part.items()))
        for part in (
            *(trial.params, trial.distributions, trial.user_attrs, trial.system_attrs),
            trial.intermediate_values,
        )
    ]
    times = trial.datetime_start, trial.datetime_complete
    return repr((trial.number, trial._trial_id, trial.state, trial.values, times, parts))


def test_trials_in_every_state_are_those_that_optuna_reads(url: str, swift: BaseStorage) -> None:
    study = _study(swift)
    study.enqueue_trial({"rate": 1e-3})
    study.tell(_ask(study), 4.0)
    study.tell(_ask(study), state=TrialState.PRUNED)
    study.tell(_ask(study), state=TrialState.FAIL)
    study.tell(_ask(study), math.inf)
    _ask(study)
    study.enqueue_trial({"rate": 1e-2})
    other = _study(swift, "other")
    other.tell(_ask(other), 1.0)

    assert [*map(_told, study.get_trials())] == _as_optuna_lists_them(url, "small")
    assert [*map(_told, other.get_trials())] == _as_optuna_lists_them(url, "other")
    one_by_one = [swift.get_trial(trial._trial_id) for trial in study.get_trials()]
    assert [*map(_told, one_by_one)] == _as_optuna_lists_them(url, "small")


def test_what_another_process_writes_is_seen_where_a_trial_has_not_ended(
    url: str, swift: BaseStorage
) -> None:
    here, there = _study(swift), _study(RDBStorage(url))
    first, second = _ask(there), _ask(there)
    here.get_trials()

    there.tell(second, 3.0)
    here.get_trials()
    first.set_user_attr("tokens", 7)
    first.report(2.0, 9)
    third = _ask(there)
    seen = here.get_trials()
    there.tell(first, 1.0)
    there.tell(third, 2.0)

    assert seen[0].user_attrs["tokens"] == 7
    assert seen[0].intermediate_values[9] == 2.0
    assert [*map(_told, here.get_trials())] == _as_optuna_lists_them(url, "small")


def test_ended_trials_are_kept_and_a_copy_can_be_changed(swift: BaseStorage) -> None:
    study = _study(swift)
    study.tell(_ask(study), 4.0)
    (kept,) = study.get_trials(deepcopy=False)

    study.get_trials()[0].user_attrs["lease"] = None

    assert study.get_trials(deepcopy=False)[0] is kept
    assert kept.user_attrs["lease"] == {"owner": "me", "expires_at": 1.5}
    assert study.get_trials(states=[TrialState.PRUNED]) == []
    assert swift.get_n_trials(study._study_id, TrialState.COMPLETE) == 1


def test_hundreds_of_unfinished_trials_are_read_as_well(url: str, swift: BaseStorage) -> None:
    """More than one query may ask for."""
    study = _study(swift)
    for number in range(520):
        study.enqueue_trial({"rate": 1e-3 + 1e-5 * number})
    study.get_trials()
    study.tell(_ask(study), 4.0)

    trials = study.get_trials()

    assert len(trials) == 520
    assert trials[0].state is TrialState.COMPLETE
    assert {trial.state for trial in trials[1:]} == {TrialState.WAITING}


def test_a_study_that_is_not_there_is_no_empty_one(swift: BaseStorage) -> None:
    with pytest.raises(KeyError):
        swift.get_all_trials(99)
    with pytest.raises(KeyError):
        swift.get_trial(99)
