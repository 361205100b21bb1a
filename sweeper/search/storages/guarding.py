"""A server's storage that is not written to under a lock that its server has forgotten.

A server that is started again, or ends the lock of a worker that was suspended, lets the next
worker in; the one before may be in the midst of its writes, and does not notice. So it asks before
each of them. What is left is the moment between question and write, shorter than any start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from optuna.storages import BaseStorage

from sweeper.search.storages.exclusion import Exclusion
from sweeper.search.storages.forwarding import ForwardingStorage
from sweeper.search.storages.together import SetsTogether

_Answer = TypeVar("_Answer")


class GuardedStorage(ForwardingStorage):
    """Does what a storage does, unless its lock was lost.

    Args:
        inner: The storage.
        exclusion: Its lock; who does not hold it writes as ever.
    """

    def __init__(self, inner: BaseStorage, exclusion: Exclusion) -> None:
        super().__init__(inner)
        self._exclusion = exclusion

    def set_trial_user_attrs(self, trial_id: int, values: Mapping[str, Any]) -> None:
        """See `together`."""
        if isinstance(self._inner, SetsTogether):
            self._call(self._inner.set_trial_user_attrs, trial_id, values)
            return
        for key, value in values.items():
            self.set_trial_user_attr(trial_id, key, value)

    def _call(self, operation: Callable[..., _Answer], *values: Any) -> _Answer:
        if not operation.__name__.startswith("get_"):
            self._exclusion.confirm()
        return super()._call(operation, *values)
