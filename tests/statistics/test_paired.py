"""Intervals that cover, and p-values that are as rare as they say."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

import sweeper.study.verify
from sweeper.statistics import LEAST_PAIRS, effect_at_look, holm, paired_effect
from sweeper.statistics.resampling import resamples_of

NUM_STUDIES = 4_000
NUM_NULL_STUDIES = 1_500
FEW = st.lists(st.floats(-5, 5), min_size=LEAST_PAIRS, max_size=7)


def normal_studies(num_pairs: int, seed: int = 0) -> np.ndarray:
    """Differences of studies in which nothing has an effect."""
    return np.random.default_rng(seed).normal(size=(NUM_STUDIES, num_pairs))


@pytest.mark.parametrize("num_pairs", [5, 6, 8, 12])
def test_intervals_cover_the_truth_as_often_as_they_say(num_pairs: int) -> None:
    """Of 4,000 studies, with a standard error of 0.35 %."""
    studies = normal_studies(num_pairs)[: NUM_STUDIES // (4 if num_pairs > 8 else 1)]
    found = [paired_effect(study + 0.3) for study in studies]
    covered = np.mean([effect.low <= 0.3 <= effect.high for effect in found])
    assert 0.935 <= covered <= 0.965


@pytest.mark.parametrize("num_pairs", [5, 8])
def test_near_ties_make_no_interval_that_says_nothing(num_pairs: int) -> None:
    """Two values with little about them: a resample of one alone has next to no spread.

    Without a bound, half of the intervals would be over twenty times as wide as Student's.
    """
    rng = np.random.default_rng(num_pairs)
    sides = rng.choice([-1.0, 1.0], size=(500, num_pairs))
    studies = sides + rng.normal(0, 0.02, size=sides.shape)
    studies = studies[np.ptp(sides, axis=1) > 0]
    found = [paired_effect(study) for study in studies]
    errors = [effect.spread / math.sqrt(num_pairs) for effect in found]
    widths = [(e.high - e.low) / error for e, error in zip(found, errors, strict=True)]
    assert max(widths) <= 2 * 2 * t.isf(0.025, num_pairs - 1) + 1e-9
    assert np.mean([effect.low <= 0 <= effect.high for effect in found]) >= 0.935


@pytest.mark.parametrize(("num_pairs", "least"), [(5, 0.90), (8, 0.93)])
def test_skewed_differences_are_covered_better_than_by_students_interval(
    num_pairs: int, least: float
) -> None:
    """Of exponential ones Student's interval covers 88 % at five pairs, 90 % at eight."""
    studies = np.random.default_rng(num_pairs).exponential(size=(1_200, num_pairs)) - 1
    covered = [e.low <= 0 <= e.high for e in map(paired_effect, studies)]
    errors = studies.std(axis=1, ddof=1) / math.sqrt(num_pairs)
    by_student = np.abs(studies.mean(axis=1)) <= t.isf(0.025, num_pairs - 1) * errors
    assert np.mean(covered) >= max(least, np.mean(by_student))


@pytest.mark.parametrize("num_pairs", [5, 6])
def test_identical_recipes_are_told_apart_in_at_most_one_study_of_twenty(num_pairs: int) -> None:
    """Four hypotheses, Holm over them, looked at twice each."""
    rng = np.random.default_rng(num_pairs)
    called = 0
    for _ in range(NUM_NULL_STUDIES):
        studies = rng.normal(size=(4, num_pairs + 1))
        called += any(
            min(holm([effect_at_look(study[:seen], num_looks=2).p_value for study in studies]))
            <= 0.05
            for seen in (num_pairs, num_pairs + 1)
        )
    assert called / NUM_NULL_STUDIES <= 0.05


def test_an_effect_beyond_the_noise_is_found() -> None:
    effect = paired_effect([-0.11, -0.10, -0.12, -0.09, -0.105])
    assert effect.high < 0
    assert effect.p_value < 0.02
    assert effect.mean == pytest.approx(-0.105)


@given(FEW, st.floats(0.1, 10), st.floats(-3, 3))
def test_units_and_signs_do_not_matter(values: list[float], scale: float, shift: float) -> None:
    effect = paired_effect(values)
    scaled = paired_effect([scale * value for value in values])
    turned = paired_effect([-value for value in values])
    assert (turned.low, turned.high) == pytest.approx((-effect.high, -effect.low), abs=1e-6)
    assert scaled.p_value == pytest.approx(effect.p_value, abs=1e-6)
    assert effect.low <= effect.mean + 1e-9
    assert effect.high >= effect.mean - 1e-9
    if effect.spread > 1e-3:
        moved = paired_effect([value + shift for value in values])
        assert moved.low == pytest.approx(effect.low + shift, abs=1e-6)


@given(FEW, st.integers(1, 5))
def test_what_is_called_a_difference_has_an_interval_without_zero(
    values: list[float], num_looks: int
) -> None:
    effect = effect_at_look(values, num_looks=num_looks)
    if effect.spread > 0 and effect.p_value <= 0.05:
        assert effect.low > 0 or effect.high < 0


@pytest.mark.parametrize("num_looks", [1, 2, 5])
@pytest.mark.parametrize("num_pairs", [5, 7, 12])
def test_p_value_and_interval_say_the_same(num_pairs: int, num_looks: int) -> None:
    """Of differences that are not equal; half of the studies have an effect."""
    rng = np.random.default_rng(num_pairs)
    called = []
    for shift in np.tile([0.0, 1.3], 100):
        effect = effect_at_look(rng.normal(shift, 1, num_pairs), num_looks=num_looks)
        called.append(effect.p_value <= 0.05)
        assert called[-1] == (effect.low > 0 or effect.high < 0)
    assert 10 < sum(called) < 190, "both happen"


@pytest.mark.parametrize("side", [-1, 1])
def test_an_effect_that_just_does_not_matter_is_seldom_called_one(side: int) -> None:
    rng = np.random.default_rng(1)
    effects = [
        paired_effect(rng.normal(side * 2.0, 1, 5), smallest=2.0) for _ in range(NUM_NULL_STUDIES)
    ]
    assert np.mean([effect.p_value <= 0.05 for effect in effects]) <= 0.05


@given(FEW, st.floats(0, 2))
def test_what_matters_has_an_interval_beyond_the_smallest_effect(
    values: list[float], smallest: float
) -> None:
    effect = paired_effect(values, smallest=smallest)
    assert effect.p_value >= paired_effect(values).p_value - 1e-9
    assert effect.low == paired_effect(values).low
    if effect.spread > 0 and effect.p_value <= 0.05:
        assert effect.low > smallest or effect.high < -smallest


def test_equal_differences_are_judged_by_their_signs() -> None:
    assert paired_effect([0.5] * 5, smallest=0.5).p_value == 1
    assert paired_effect([0.5] * 5, smallest=0.4).p_value == 1 / 16
    assert paired_effect([0.0] * 5).p_value == 1
    effect = paired_effect([0.2] * 5)
    assert (effect.low, effect.high, effect.p_value) == (0.2, 0.2, 0.0625)


@pytest.mark.parametrize("values", [[0.1] * 4, [0.1, 0.2, 0.3, 0.4, math.nan], [math.inf] * 5])
def test_too_few_or_endless_differences_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"pairs|finite"):
        paired_effect(values)


@pytest.mark.parametrize("num_values", [2, 3, 4])
def test_all_resamples_are_counted_once(num_values: int) -> None:
    counts, weights = resamples_of(num_values)
    expected: dict[tuple[float, ...], float] = {}
    for drawn in product(range(num_values), repeat=num_values):
        key = tuple(float(drawn.count(place)) for place in range(num_values))
        expected[key] = expected.get(key, 0.0) + num_values**-num_values
    found = dict(zip(map(tuple, counts.tolist()), weights.tolist(), strict=True))
    assert found == pytest.approx(expected)


def test_many_values_are_drawn_and_always_alike() -> None:
    counts, weights = resamples_of(12)
    assert counts.sum(axis=1).tolist() == [12.0] * len(counts)
    assert weights.sum() == pytest.approx(1)
    resamples_of.cache_clear()
    assert np.array_equal(resamples_of(12)[0], counts)


def test_holm_is_the_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_keeps_the_order_and_raises_only(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.array(adjusted)[order]) >= 0)


def test_a_look_pays_for_all_looks() -> None:
    differences = np.random.default_rng(1).normal(-1, 0.9, size=8)
    alone = paired_effect(differences, level=0.975)
    looked = effect_at_look(differences, num_looks=2)
    assert looked.p_value == 2 * alone.p_value
    assert (looked.low, looked.high, looked.level) == (alone.low, alone.high, 0.975)
    assert effect_at_look(differences, num_looks=1) == paired_effect(differences)
    assert effect_at_look([0.0, 0.1, -0.1, 0.2, -0.3], num_looks=5).p_value == 1


def test_interval_of_whichever_of_several_looks_best_still_covers() -> None:
    """Three recipes that are one: the lowest mean of three is picked, its interval pays for it."""
    studies = normal_studies(5, seed=3)[:1500].reshape(-1, 3, 5)
    picked = [min(three, key=np.mean) for three in studies]

    def share_covered(num_paid: int) -> float:
        effects = [effect_at_look(values, num_looks=num_paid) for values in picked]
        return float(np.mean([e.low <= 0 <= e.high for e in effects]))

    assert share_covered(3) >= 0.95
    assert share_covered(1) < share_covered(3), "else there would be nothing to pay for"


def test_study_files_allow_as_few_pairs_as_the_statistics_do() -> None:
    """They name the number apart, since reading a study file is not to import scipy."""
    assert sweeper.study.verify.LEAST_PAIRS == LEAST_PAIRS
