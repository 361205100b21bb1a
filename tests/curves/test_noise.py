from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves.noise import difference_sigma, residual_sigma, theil_sen


def noise(num: int, sigma: float, seed: int) -> np.ndarray:
    return sigma * np.random.default_rng(seed).standard_normal(num)


@pytest.mark.parametrize("seed", range(3))
def test_sigma_is_that_of_the_noise(seed: int) -> None:
    assert difference_sigma(noise(2000, 0.3, seed)) == pytest.approx(0.3, rel=0.1)


def test_sigma_ignores_a_slope_exactly() -> None:
    values = noise(64, 0.1, 1)
    sloped = values - 0.5 * np.arange(64)

    assert difference_sigma(sloped) == pytest.approx(difference_sigma(values), rel=1e-9)


@pytest.mark.parametrize("height", [5.0, 1e6])
def test_sigma_hardly_moves_for_a_single_jump(height: float) -> None:
    values = noise(64, 0.1, 1)
    stepped = values + np.where(np.arange(64) >= 30, height, 0.0)

    assert difference_sigma(stepped) == pytest.approx(difference_sigma(values), rel=0.1)


def test_sigma_of_too_few_values_is_nothing() -> None:
    assert difference_sigma([1.0, 9.0]) == 0.0
    assert difference_sigma([]) == 0.0


@settings(deadline=None, derandomize=True)
@given(st.integers(-64, 64), st.integers(-64, 64), st.integers(2, 30))
def test_theil_sen_is_exact_on_lines(slope: int, intercept: int, num: int) -> None:
    x = np.arange(num, dtype=np.float64)

    assert theil_sen(x, slope * x + intercept) == (slope, intercept)


def test_theil_sen_is_not_moved_by_a_fifth_of_outliers() -> None:
    x = np.arange(50, dtype=np.float64)
    y = 7.0 - 0.25 * x
    y[::5] += 100.0

    slope, intercept = theil_sen(x, y)

    assert slope == pytest.approx(-0.25, abs=1e-9)
    assert intercept == pytest.approx(7.0, abs=1e-9)


def test_theil_sen_of_a_long_series_is_the_same_line() -> None:
    x = np.arange(5000, dtype=np.float64)

    slope, intercept = theil_sen(x, 3.0 - 0.001 * x)

    assert slope == pytest.approx(-0.001)
    assert intercept == pytest.approx(3.0)


def test_residual_sigma_is_the_scatter_about_the_line() -> None:
    x = np.arange(1000, dtype=np.float64)

    assert residual_sigma(x, 5 - 0.01 * x + noise(1000, 0.2, 3)) == pytest.approx(0.2, rel=0.15)
    assert residual_sigma(x[:100], 5 - 0.5 * x[:100]) == 0.0
