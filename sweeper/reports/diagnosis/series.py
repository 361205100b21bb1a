"""A quantity over steps as a picture can hold it: a hundred thousand points in a thousand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.curves import Curve

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """A quantity where it was recorded; values may be NaN or infinite."""

    steps: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def finite(self) -> Series:
        """The part that can be drawn."""
        kept = np.isfinite(self.values)
        return Series(self.steps[kept], self.values[kept])


@dataclass(frozen=True)
class Band:
    """The least, the middle and the greatest value in stretches of steps.

    A narrow spike keeps its full height in `high`, which a mean or every n-th point would lose.
    """

    steps: Floats
    low: Floats
    middle: Floats
    high: Floats


def series_of(curve: Curve, name: str) -> Series:
    """A float field of `Point` over steps."""
    pairs = [(p.step, getattr(p, name)) for p in curve if getattr(p, name) is not None]
    return Series(
        np.array([pair[0] for pair in pairs], dtype=np.float64),
        np.array([pair[1] for pair in pairs], dtype=np.float64),
    )


def band(series: Series, most: int) -> Band:
    """At most so many stretches of equal length in steps, the empty ones left out.

    Args:
        series: Finite values in the order of their steps.
        most: How many stretches the picture can show.
    """
    edges = np.linspace(series.steps[0], series.steps[-1], most + 1)
    places = np.clip(np.searchsorted(edges, series.steps, side="right") - 1, 0, most - 1)
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    pieces = np.split(series.values, starts[1:])
    return Band(
        steps=np.array([piece.mean() for piece in np.split(series.steps, starts[1:])]),
        low=np.minimum.reduceat(series.values, starts),
        middle=np.array([np.median(piece) for piece in pieces]),
        high=np.maximum.reduceat(series.values, starts),
    )
