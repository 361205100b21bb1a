"""A trial that a worker has taken, and the proof that it holds it."""

from __future__ import annotations

from dataclasses import dataclass

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
