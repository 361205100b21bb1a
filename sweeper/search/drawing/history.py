"""What a sampler that learns is shown of a study: its trials in the form from which it learns."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Container, Iterable, Sequence
from typing import Any, cast

import optuna
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweeper.curves import StopReason
from sweeper.search import attributes as attrs

# Of so many trials TPE is shown those that it can call good, and the newest of the others.
TPE_WINDOW = 1_000
_MOST_GOOD = 25  # Optuna's TPE calls a tenth good, and never more than these
_JUDGED = (StopReason.COMPLETED.value, StopReason.PLATEAU.value, StopReason.PEERS.value)
_TOLD = (TrialState.COMPLETE, TrialState.PRUNED)


def with_violations(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """For TPE, which ranks what ended badly by its violation, behind all that completed.

    Of thousands only some: the good ones, and the newest of the others, as TPE would weigh the
    oldest least.
    """
    if len(trials) <= TPE_WINDOW:
        return list(trials)
    completed = (t for t in trials if t.state is TrialState.COMPLETE and not _is_violated(t))
    good = heapq.nsmallest(_MOST_GOOD, completed, key=_value)
    kept = {trial.number for trial in good}
    others = [trial for trial in trials if trial.number not in kept]
    shown = good + others[len(good) - TPE_WINDOW :]
    return sorted(shown, key=lambda trial: trial.number)


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None, "completed trials have a loss"
    return trial.value


def _is_violated(trial: FrozenTrial) -> bool:
    return any(value > 0 for value in trial.constraints.values())


def with_bad_losses(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """For samplers that go by losses alone: every trial that ended badly has completed with one.

    One that a plateau or its peers ended has its last; one that spiked, or never had a usable
    loss, has the worst of all others: it counts as bad, and its height, which says nothing, does
    not flatten the differences among the good. What the wall clock ended is not shown.
    """
    judged = {t.number: loss for t in trials if (loss := _judged_loss(t)) is not None}
    if not judged:
        return [trial for trial in trials if trial.state is TrialState.RUNNING]
    worst = max(judged.values())
    shown = []
    for trial in trials:
        if trial.user_attrs.get(attrs.STOP_REASON) == StopReason.TIMEOUT.value:
            continue
        if trial.state in _TOLD:
            trial = _completed(trial, judged.get(trial.number, worst))
        shown.append(trial)
    return shown


def _judged_loss(trial: FrozenTrial) -> float | None:
    if trial.state not in _TOLD or trial.user_attrs.get(attrs.STOP_REASON) not in _JUDGED:
        return None
    loss: float | None = trial.user_attrs.get(attrs.VAL_LOSS)
    return loss


def _completed(trial: FrozenTrial, loss: float) -> FrozenTrial:
    """The same trial as if it had completed with a loss, and violated nothing."""
    told = copy.copy(trial)
    told.state, told.value = TrialState.COMPLETE, loss
    kept = {k: v for k, v in trial.system_attrs.items() if not k.startswith("constraints")}
    told.system_attrs = kept
    return told


def study_as_shown(study: Study, storage: BaseStorage, trials: Iterable[FrozenTrial]) -> Study:
    """The study with other trials in it; what a sampler notes of a trial is kept in the storage."""
    view = cast(BaseStorage, _Shown(storage, list(trials)))
    return optuna.load_study(
        study_name=study.study_name, storage=view, sampler=optuna.samplers.RandomSampler(seed=0)
    )


class _Shown:
    """A storage of one study that lists other trials than it has."""

    def __init__(self, storage: BaseStorage, trials: Sequence[FrozenTrial]) -> None:
        self._storage = storage
        self._trials = trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """See optuna's BaseStorage."""
        found = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found
