"""A trial that a worker has taken, and the proof that it holds it."""

from __future__ import annotations

from dataclasses import dataclass

from optuna.trial import FrozenTrial

from sweeper.search import attributes as attrs
from sweeper.search.leases import Lease
from sweeper.study import Hyperparameters


@dataclass(frozen=True)
class Claim:
    """A trial that this worker holds.

    Attributes:
        number: Optuna's trial number.
        trial_id: Optuna's identifier in the storage.
        hyperparameters: Its recipe, the seed resolved.
        is_baseline: Whether it is the baseline.
        hypothesis: The hypothesis that it tests, if any.
        lease: Proof of the hold.
    """

    number: int
    trial_id: int
    hyperparameters: Hyperparameters
    is_baseline: bool
    hypothesis: str | None
    lease: Lease

    @property
    def is_protected(self) -> bool:
        """Whether it runs to the end whatever the others do, because it will be compared."""
        return self.is_baseline or self.hypothesis is not None


def is_held_by(trial: FrozenTrial, owner: str) -> bool:
    """Whether a trial is in a worker's hand, and has not ended."""
    lease = Lease.read(trial.user_attrs.get(attrs.LEASE))
    return not trial.state.is_finished() and lease is not None and lease.owner == owner


def was_ended_by(trial: FrozenTrial, owner: str) -> bool:
    """Whether a trial has ended, and it was this worker who said so."""
    return trial.state.is_finished() and trial.user_attrs.get(attrs.ENDED_BY) == owner
