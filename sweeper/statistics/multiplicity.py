"""Several questions asked of one study: p-values that hold for all of them together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order of the given ones.

    Rejecting what is at most alpha errs in any of them with probability at most alpha, however
    they depend on each other (Holm 1979, Scandinavian Journal of Statistics 6).

    Args:
        p_values: Each in [0, 1].
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    factors = np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return [float(p) for p in adjusted]
