"""Which recipes a study may still begin: neither tried, nor too large for the machine."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from sweeper.curves import Stop
from sweeper.search.drawing.experiments import Experiments
from sweeper.search.drawing.finite import FiniteSpace
from sweeper.search.drawing.memory import MemoryBounds
from sweeper.search.drawing.proposals import Params
from sweeper.study import Hyperparameters, StudySpec


class Admission:
    """Learns from a study's trials what need not be drawn again.

    Args:
        spec: The study.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._experiments = Experiments(spec)
        self._memory = MemoryBounds(spec)
        self._finite = FiniteSpace(spec)

    def learn(self, trials: Sequence[FrozenTrial]) -> None:
        """Take note of trials that have begun or ended since the last time.

        Args:
            trials: All of the study's, in the order of their numbers.
        """
        self._experiments.update(trials)
        self._memory.update(trials)

    def admit(self, params: Params, number: int) -> Params | None:
        """What to train for a draw: in passes that fit, and unlike all that was tried.

        Args:
            params: What the sampler drew.
            number: Of the trial that drew it, which is not held against itself.
        """
        recipe = self._memory.fitted(self._spec.hyperparameters_with(params))
        if recipe is None or self._experiments.near(recipe, besides=number) is not None:
            return None
        return {name: getattr(recipe, name) for name in params}

    def spare(self, number: int) -> Params | None:
        """A point that was never drawn, of a space that comes to an end."""
        admitted = (self.admit(params, number) for params in self._finite.left())
        return next((params for params in admitted if params is not None), None)

    def has_no_more(self) -> bool:
        """Whether all that the space holds was tried, or does not fit."""
        if self._spec.search.sampler in ("grid", "list"):  # these know their own end
            return False
        return self._finite.is_exhausted(self._experiments.has_tried, self._is_refused)

    def lender(self, recipe: Hyperparameters) -> int | None:
        """Number of a completed trial that was the same experiment."""
        return self._experiments.lender(recipe)

    def possible_lenders(self, recipe: Hyperparameters) -> Sequence[int]:
        """Numbers of the trials of the same experiment, while none of them has completed."""
        return () if self.lender(recipe) is not None else self._experiments.equals(recipe)

    def refusal(self, recipe: Hyperparameters) -> Stop | None:
        """Why a trial would run out of memory as an earlier one did, if it would."""
        return self._memory.refusal(recipe)

    def _is_refused(self, recipe: Hyperparameters) -> bool:
        fitted = self._memory.fitted(recipe)
        return fitted is None or self._experiments.has_tried(fitted)
