"""The interval of a proportion, against textbook values and its own promise."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from sweeper.statistics import proportion_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (1, 20, 0.0013, 0.2487),
        (5, 10, 0.1871, 0.8129),
    ],
)
def test_known_values(successes: int, trials: int, low: float, high: float) -> None:
    assert proportion_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.93])
@pytest.mark.parametrize("trials", [1, 7, 40])
def test_it_covers_as_often_as_it_says(share: float, trials: int) -> None:
    covered = 0.0
    for successes in range(trials + 1):
        low, high = proportion_interval(successes, trials, level=0.9)
        covered += float(binom.pmf(successes, trials, share)) * (low <= share <= high)
    assert covered >= 0.9
