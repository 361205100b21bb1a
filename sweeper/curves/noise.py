"""How noisy a loss curve is: robust scales that neither trend nor outliers inflate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# 1 / Φ⁻¹(3/4): makes a median absolute deviation estimate a normal distribution's sigma.
MAD_TO_SIGMA = 1.4826


def difference_sigma(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Standard deviation of a series about its trend, from its first differences.

    The median absolute deviation of differences about their median ignores a
    steady slope and single jumps; the root of two undoes the differencing.

    Args:
        values: Finite values in order. Fewer than three give 0.
    """
    if len(values) < 3:
        return 0.0
    # Lists: numpy's median costs more than the work itself on the few values of a window.
    series: list[float] = np.asarray(values, dtype=np.float64).tolist()
    steps = [after - before for before, after in pairwise(series)]
    middle = statistics.median(steps)
    return MAD_TO_SIGMA * statistics.median(abs(step - middle) for step in steps) / math.sqrt(2)


def theil_sen(
    x: NDArray[np.float64], y: NDArray[np.float64], max_points: int = 200
) -> tuple[float, float]:
    """Robust line: the median of all pairwise slopes, and the median intercept.

    Source: Sen 1968, doi:10.1080/01621459.1968.10480934.

    Args:
        x: Strictly increasing positions, at least two.
        y: Finite values at them.
        max_points: Longer series are reduced to the medians of as many runs of
            neighbours, which keeps the pairs few and the line the same.

    Returns:
        Slope (units of y per unit of x) and intercept.
    """
    if len(x) > max_points:
        parts = np.array_split(np.arange(len(x)), max_points)
        x = np.array([np.median(x[part]) for part in parts])
        y = np.array([np.median(y[part]) for part in parts])
    first, second = np.triu_indices(len(x), k=1)
    slope = float(np.median((y[second] - y[first]) / (x[second] - x[first])))
    return slope, float(np.median(y - slope * x))


def residual_sigma(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Robust standard deviation of values about their Theil-Sen line."""
    slope, intercept = theil_sen(x, y)
    residuals = y - (slope * x + intercept)
    return float(MAD_TO_SIGMA * np.median(np.abs(residuals - np.median(residuals))))


def rising_sigma(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Standard deviation of a series from its rises alone.

    Noise rises as often as it falls, a loss that is being learned mostly falls:
    the upper quartile of the differences tells the noise and not the descent.

    Args:
        values: Finite values in order. Fewer than three give 0.
    """
    if len(values) < 3:
        return 0.0
    quartile = float(np.quantile(np.diff(np.asarray(values, dtype=np.float64)), 0.75))
    # Of a normal distribution's differences: 0.6745 times the root of two, in sigmas.
    return max(quartile, 0.0) / (0.6745 * float(np.sqrt(2)))
