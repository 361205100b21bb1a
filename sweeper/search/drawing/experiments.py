"""What a study has tried so far: found by experiment, exactly or nearly, each trial read once."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from sweeper.search import attributes as attrs
from sweeper.study import Dimension, Hyperparameters, Range, StudySpec

# Nearer than this, two values say the same: no loss of a trial tells them apart.
NEAR_RATIO = 1.02  # on a logarithmic scale
NEAR_SHARE = 0.01  # of a linear range

_Place = tuple[str, tuple[float, ...]]


class Experiments:
    """An index of a study's trials that reads each of them once it has its recipe, and once more
    when it has ended.

    Args:
        spec: The study.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._scales = {
            name: dimension for name, dimension in spec.space.items() if _is_endless(dimension)
        }
        self._num_seen = 0
        self._unsettled: list[int] = []
        self._places: dict[int, _Place] = {}
        self._tried: dict[str, dict[int, tuple[float, ...]]] = {}
        self._equals: dict[_Place, list[int]] = {}
        self._lenders: dict[_Place, int] = {}

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Learn what is new.

        Args:
            trials: All of the study's, by number.
        """
        news = [*self._unsettled, *range(self._num_seen, len(trials))]
        self._num_seen = len(trials)
        self._unsettled = [number for number in news if not self._learn(trials[number])]

    def _learn(self, trial: FrozenTrial) -> bool:
        """Whether there will be nothing more to learn of it."""
        plain = trial.user_attrs.get(attrs.HYPERPARAMETERS)
        if plain is not None and trial.number not in self._places:
            place = self._place(Hyperparameters.model_validate(plain))
            self._places[trial.number] = place
            self._tried.setdefault(place[0], {})[trial.number] = place[1]
            self._equals.setdefault(place, []).append(trial.number)
        has_files = plain is not None and trial.user_attrs.get(attrs.SAME_AS) is None
        if trial.state is TrialState.COMPLETE and has_files:
            self._lenders.setdefault(self._places[trial.number], trial.number)
        return trial.state.is_finished()

    def lender(self, recipe: Hyperparameters) -> int | None:
        """The completed trial of the same experiment that has files of its own, if there is one."""
        return self._lenders.get(self._place(recipe))

    def near(self, recipe: Hyperparameters, besides: int) -> int | None:
        """Another trial, ended or running, that is nearly the same experiment.

        All is equal but for what is searched on a range without steps, and that differs by less
        than two percent (on a linear scale: by less than a hundredth of the range).

        Args:
            recipe: What might be tried.
            besides: The number of the trial that would try it.
        """
        kind, at = self._place(recipe)
        for number, other in self._tried.get(kind, {}).items():
            if number != besides and all(abs(a - b) < 1 for a, b in zip(at, other, strict=True)):
                return number
        return None

    def has_tried(self, recipe: Hyperparameters) -> bool:
        """Whether any trial, ended or running, is this very experiment."""
        return self._place(recipe) in self._equals

    def equals(self, recipe: Hyperparameters) -> Sequence[int]:
        """Numbers of all trials, ended or running, that are this very experiment."""
        return self._equals.get(self._place(recipe), ())

    def _place(self, recipe: Hyperparameters) -> _Place:
        """What is told apart exactly, and the rest in units of what can be told apart."""
        values = self._spec.experiment_values_of(recipe)
        at = tuple(_units(values.pop(name, None), scale) for name, scale in self._scales.items())
        return json.dumps(values, sort_keys=True), at


def _is_endless(dimension: Dimension) -> bool:
    return isinstance(dimension, Range) and not dimension.is_integer and dimension.step is None


def nudged(value: Any, dimension: Dimension, units: float) -> Any:
    """A value moved within its range by so many of the least differences that count.

    What is told apart exactly is not moved.
    """
    if not isinstance(dimension, Range) or not _is_endless(dimension):
        return value
    if dimension.log:
        moved = value * NEAR_RATIO**units
    else:
        moved = value + units * NEAR_SHARE * (dimension.high - dimension.low)
    return min(max(moved, dimension.low), dimension.high)


def _units(value: object, dimension: Dimension) -> float:
    """A value in units of the least difference that counts; far off all others if it is none."""
    assert isinstance(dimension, Range), "only ranges are measured"
    if not isinstance(value, int | float) or (dimension.log and value <= 0):
        return -1e9
    if dimension.log:
        return math.log(value) / math.log(NEAR_RATIO)
    return value / (NEAR_SHARE * (dimension.high - dimension.low))
