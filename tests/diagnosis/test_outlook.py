from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sweeper.curves import FindingKind
from sweeper.diagnosis.outlook import predict_unchanged, t_quantile
from tests.diagnosis.fakes import case_of, finding, points, recorded_case


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 7, 12, 31, 100, 200])
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95, 0.99])
def test_the_quantile_is_that_of_students_t(freedom: int, coverage: float) -> None:
    expected = stats.t.ppf((1 + coverage) / 2, freedom)

    assert t_quantile(freedom, coverage) == pytest.approx(expected, rel=1e-9)


def test_with_many_degrees_of_freedom_the_normal_quantile_is_near_enough() -> None:
    assert t_quantile(1000) == pytest.approx(stats.t.ppf(0.975, 1000), rel=0.01)


def test_the_recorded_plateau_has_the_interval_of_its_three_evaluations() -> None:
    outlook = predict_unchanged(recorded_case(), 2500)

    values = np.array([6.7096, 6.7427, 6.7105])
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) * math.sqrt(4 / 3)
    assert outlook is not None
    assert outlook.series == "val_loss"
    assert (outlook.low, outlook.high) == pytest.approx(
        (values.mean() - half, values.mean() + half)
    )
    assert "3 usable validation losses at steps 1,000 to 2,500" in outlook.basis
    assert "2 degrees of freedom" in outlook.basis


def test_a_falling_loss_is_extrapolated_as_a_power_law() -> None:
    rng = np.random.default_rng(4)
    steps = np.arange(1, 201)
    losses = 8.0 * steps**-0.1 * np.exp(0.01 * rng.standard_normal(200))
    case = case_of(points(losses.tolist(), start=1))

    outlook = predict_unchanged(case, 300)

    assert outlook is not None
    assert outlook.low < 8.0 * 300**-0.1 < outlook.high
    assert (outlook.high - outlook.low) / 2 < 0.03 * outlook.high
    assert "power law through 101 training losses" in outlook.basis


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_holds_about_as_many_repetitions_as_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = np.arange(1, 61)
    held = 0
    for _ in range(100):
        losses = 6.0 * steps**-0.2 * np.exp(0.02 * rng.standard_normal(60))
        outlook = predict_unchanged(case_of(points(losses.tolist(), start=1)), 80)
        assert outlook is not None
        held += outlook.low < 6.0 * 80**-0.2 * np.exp(0.02 * rng.standard_normal()) < outlook.high
    assert held >= 85


def test_only_what_came_before_a_lasting_damage_tells_the_trend() -> None:
    losses = [5.0, 4.5, 4.2, 4.0, 3.9, 3.8, 9.0, 9.5, 9.9, 9.9]
    lasting = finding(FindingKind.DIVERGENCE, 6, 9, recovered=False)

    outlook = predict_unchanged(case_of(points(losses), [lasting]), 9)

    assert outlook is not None
    assert outlook.high < 4.5


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        pytest.param([5.0, 4.0, 3.0], 5, id="too few points"),
        pytest.param([5.0, 4.0, 3.5, 3.2, 3.0, 2.9], 100, id="too far"),
        pytest.param([5.0, 1.0, 9.0, 2.0, 8.0, 1.0, 7.0], 8, id="too wide"),
        pytest.param([5.0, 4.0, 3.0, 0.0, 0.0, 0.0], 5, id="no power law through zero"),
    ],
)
def test_without_a_basis_there_is_no_interval(losses: list[float], step: int) -> None:
    assert predict_unchanged(case_of(points(losses)), step) is None


def test_a_plateau_of_two_points_foretells_nothing() -> None:
    flat = finding(FindingKind.PLATEAU, 1, 2)

    assert predict_unchanged(case_of(points([5.0, 3.0, 3.0]), [flat]), 3) is None
