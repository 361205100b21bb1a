"""A study's trials as Optuna's storage has them; who may write is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from sweeper.search import attributes as attrs
from sweeper.search.claim import is_held_by
from sweeper.search.drawing.space import as_plain
from sweeper.search.outcomes import Result
from sweeper.search.storages.together import set_together
from sweeper.search.telling import tell_result
from sweeper.study import Hyperparameters, StudySpec


class Records:
    """Reads and writes a study's trials.

    Args:
        spec: The study.
        study: Optuna's.
        storage: Where it is.
        may_be_stale: Whether old trials will do now where there are no new ones.
    """

    def __init__(
        self,
        spec: StudySpec,
        study: optuna.Study,
        storage: BaseStorage,
        may_be_stale: Callable[[], bool],
    ) -> None:
        self.spec = spec
        self.study = study
        self.storage = storage
        self._may_be_stale = may_be_stale
        self._seen: list[FrozenTrial] | None = None
        self._ids: dict[int, int] = {}  # by number; neither ever changes

    @cached_property
    def _study_id(self) -> int:
        return self.storage.get_study_id_from_name(self.spec.folder_name)

    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order of their numbers.

        By way of the study, which reads an ended trial from the storage once: the storage itself
        would read all of them each time, a millisecond for each.
        """
        try:
            self._seen = self.study.get_trials(deepcopy=False)
        except StorageInternalError:
            if self._seen is None or not self._may_be_stale():
                raise
        return self._seen

    def trial_id(self, number: int) -> int:
        """Optuna's identifier of a trial."""
        if number not in self._ids:
            find = self.storage.get_trial_id_from_study_id_trial_number
            self._ids[number] = find(self._study_id, number)
        return self._ids[number]

    def trial(self, trial_id: int) -> FrozenTrial:
        """A trial as it is now."""
        return self.storage.get_trial(trial_id)

    def is_held_by(self, trial_id: int, owner: str) -> bool:
        """Whether a trial is in a worker's hand, and has not ended."""
        return is_held_by(self.trial(trial_id), owner)

    def set(self, trial_id: int, values: Mapping[str, Any]) -> None:
        """Set user attributes of a trial."""
        set_together(self.storage, trial_id, values)

    def set_recipe(self, trial_id: int, recipe: Hyperparameters, *, is_baseline: bool) -> None:
        """Write down what a trial trains."""
        plain = {attrs.HYPERPARAMETERS: as_plain(recipe), attrs.BASELINE: is_baseline}
        self.set(trial_id, plain)

    def tell(self, number: int, result: Result) -> None:
        """Write down how a trial ended."""
        trial_id = self.trial_id(number)
        tell_result(self.study, self.storage, self.spec, number, trial_id, result)
