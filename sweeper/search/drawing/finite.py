"""A space that comes to an end, and what of it is left to try."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

from sweeper.study import Choice, Dimension, Hyperparameters, StudySpec

MOST_POINTS = 10_000  # of a larger one nobody sees the end

Params = dict[str, Any]


class FiniteSpace:
    """The points of a space of lists and stepped ranges that have not been tried.

    Args:
        spec: The study.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._left = list(_points(spec)) if _is_finite(spec) else None

    def is_exhausted(
        self,
        has_tried: Callable[[Hyperparameters], bool],
        is_refused: Callable[[Hyperparameters], bool],
    ) -> bool:
        """Whether nothing of it is left; never of a space without end."""
        if self._left is None:
            return False
        self._left = [(params, recipe) for params, recipe in self._left if not has_tried(recipe)]
        return all(is_refused(recipe) for _, recipe in self._left)

    def left(self) -> list[Params]:
        """What had not been tried when it was last asked whether anything is left."""
        return [params for params, _ in self._left or ()]


def _is_finite(spec: StudySpec) -> bool:
    sizes = [_size(dimension) for dimension in spec.space.values()]
    return bool(sizes) and math.prod(sizes) <= MOST_POINTS


def _size(dimension: Dimension) -> float:
    if isinstance(dimension, Choice):
        return len(dimension.values)
    if dimension.step is not None:
        return dimension.grid_size()
    return dimension.high - dimension.low + 1 if dimension.is_integer else math.inf


def _values(dimension: Dimension) -> Sequence[Any]:
    if isinstance(dimension, Choice):
        return dimension.values
    if dimension.step is not None:
        return dimension.grid_values()
    return range(int(dimension.low), int(dimension.high) + 1)


def _points(spec: StudySpec) -> Iterator[tuple[Params, Hyperparameters]]:
    """All points, those that are one experiment once."""
    names = spec.search_order
    seen = set()
    for point in product(*(_values(spec.space[name]) for name in names)):
        params: Params = {}
        for name, value in zip(names, point, strict=True):
            if spec.is_searched(name, params):
                params[name] = value
        recipe = spec.hyperparameters_with(params)
        if (key := spec.experiment_of(recipe)) not in seen:
            seen.add(key)
            yield params, recipe
