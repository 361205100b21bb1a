"""The bootstrap's resamples of few values: all of them, where they can be counted.

Shapes: n values, M different resamples.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

MOST_COUNTED = 9  # values; 24,310 different resamples
NUM_DRAWN = 20_000
_SEED = 20_231  # of what is drawn: the same values always give the same interval

Floats = NDArray[np.float64]


@lru_cache(maxsize=16)
def resamples_of(num_values: int) -> tuple[Floats, Floats]:
    """How often each value is in a resample, and how probable the resample is.

    Up to nine values all resamples are counted, so that no random number is in the result
    (Efron & Tibshirani 1993, "An Introduction to the Bootstrap", section 6.4); of more values
    20,000 are drawn, always the same.

    Args:
        num_values: n, 2 or more.

    Returns:
        Counts `[M, n]` that sum to n in each row, and probabilities `[M]` that sum to 1.
    """
    if num_values > MOST_COUNTED:
        generator = np.random.default_rng([_SEED, num_values])
        even = np.full(num_values, 1 / num_values)
        drawn_Mn = generator.multinomial(num_values, even, size=NUM_DRAWN).astype(np.float64)
        return drawn_Mn, np.full(NUM_DRAWN, 1 / NUM_DRAWN)
    counts_Mn = _compositions(num_values)
    log_ways_M = gammaln(num_values + 1) - gammaln(counts_Mn + 1).sum(axis=1)
    return counts_Mn, np.exp(log_ways_M - num_values * np.log(num_values))


def _compositions(num_values: int) -> Floats:
    """All ways to draw n of n values with replacement, by stars and bars `[M, n]`."""
    num_places = 2 * num_values - 1
    bars_MB = np.array([*combinations(range(num_places), num_values - 1)], dtype=np.int64)
    edges = np.pad(bars_MB, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, num_places)))
    return (np.diff(edges, axis=1) - 1).astype(np.float64)
