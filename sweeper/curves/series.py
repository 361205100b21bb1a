"""One quantity of a curve over its steps, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sweeper.curves.curve import Curve


@dataclass(frozen=True, eq=False)
class Series:
    """Values at ascending steps.

    Attributes:
        steps: int64, ascending.
        values: float64, as long as `steps`; finite unless said otherwise.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, curve: Curve, name: str) -> Self:
        """The finite values of a field of `Point`, where it was recorded."""
        steps, values = curve.over_steps(name)
        return cls(steps, values).where(np.isfinite(values))

    def __len__(self) -> int:
        return len(self.steps)

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """The points for which `keep` (as long as the series) is true."""
        return type(self)(self.steps[keep], self.values[keep])

    def between(self, first_step: float, last_step: float) -> Self:
        """The points of `[first_step, last_step]`."""
        first = int(np.searchsorted(self.steps, first_step, side="left"))
        last = int(np.searchsorted(self.steps, last_step, side="right"))
        return type(self)(self.steps[first:last], self.values[first:last])

    def blocks(self, most: int) -> Self:
        """At most so many points: the medians of runs of neighbours, each at its last step.

        A series that is short enough comes back as it is.
        """
        if len(self) <= most:
            return self
        parts = np.array_split(np.arange(len(self)), most)
        return type(self)(
            np.array([self.steps[part[-1]] for part in parts], dtype=np.int64),
            np.array([np.median(self.values[part]) for part in parts]),
        )
