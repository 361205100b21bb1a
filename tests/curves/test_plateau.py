from __future__ import annotations

import math

import numpy as np
import pytest

from sweeper.curves import FindingKind, Point
from sweeper.curves.non_finite import find_non_finite
from sweeper.curves.plateau import PlateauSettings, find_plateau
from tests.curves.fakes import decay, evaluations


def flat(seed: int, num: int = 12) -> list[float]:
    return [float(x) for x in 4.0 + 0.02 * np.random.default_rng(seed).standard_normal(num)]


def falling(seed: int, num: int = 12) -> list[float]:
    return [loss - 0.1 * i for i, loss in enumerate(flat(seed, num))]


@pytest.mark.parametrize("seed", range(8))
def test_a_flat_noisy_stretch_is_a_plateau(seed: int) -> None:
    found = find_plateau(evaluations(flat(seed)), since_tokens=0)

    assert found is not None
    assert (found.kind, found.start_step, found.end_step) == (FindingKind.PLATEAU, 0, 11)
    assert found.recovered is None
    assert 0 <= found.severity < 0.05


@pytest.mark.parametrize("seed", range(8))
def test_a_falling_stretch_is_none(seed: int) -> None:
    assert find_plateau(evaluations(falling(seed)), since_tokens=0) is None


def test_a_rising_stretch_gains_nothing() -> None:
    found = find_plateau(evaluations([4.0 + 0.1 * i for i in range(8)]), since_tokens=0)

    assert found is not None
    assert found.severity == 0.0


@pytest.mark.parametrize("at", [0, 5, 11])
@pytest.mark.parametrize("height", [3.0, -1.0])
def test_a_single_outlier_neither_hides_nor_makes_a_plateau(at: int, height: float) -> None:
    still, moving = flat(1), falling(1)
    still[at] += height
    moving[at] += height

    assert find_plateau(evaluations(still), since_tokens=0) is not None
    assert find_plateau(evaluations(moving), since_tokens=0) is None


def test_only_the_stretch_counts() -> None:
    points = evaluations([*decay(12, start=9.0), *[3.1] * 6])

    assert find_plateau(points, since_tokens=0) is None
    found = find_plateau(points, since_tokens=12_000)
    assert found is not None
    assert found.start_step == 12


@pytest.mark.parametrize("num", [0, 1, 2])
def test_too_few_points_decide_nothing(num: int) -> None:
    assert find_plateau(evaluations([4.0] * num), since_tokens=0) is None


def test_points_without_a_finite_value_do_not_count() -> None:
    points = evaluations([4.0, math.nan, 4.0, math.inf])

    assert find_plateau([*points, Point(9, 9000)], since_tokens=0) is None
    assert find_plateau([*points, Point(9, 9000, val_loss=4.0)], since_tokens=0) is not None


def test_points_at_one_place_decide_nothing() -> None:
    points = [Point(step, 0, val_loss=4.0) for step in range(5)]

    assert find_plateau(points, since_tokens=0) is None


def test_the_settings_say_what_matters() -> None:
    points = evaluations([4.0 - 0.01 * i for i in range(6)])  # gains 0.05, 1.3 %

    assert find_plateau(points, since_tokens=0) is None
    lenient = PlateauSettings(relative=0.05)
    assert find_plateau(points, since_tokens=0, settings=lenient) is not None
    patient = PlateauSettings(min_points=7)
    assert find_plateau([*points[:3]], since_tokens=0, settings=patient) is None


def test_another_series_can_be_judged() -> None:
    points = [Point(i, i * 10, train_loss=4.0) for i in range(5)]

    assert find_plateau(points, since_tokens=0) is None
    found = find_plateau(points, since_tokens=0, series="train_loss")
    assert found is not None
    assert found.evidence.startswith("train loss gained 0.0000 nats over 40 tokens")


@pytest.mark.parametrize("name", ["train_loss", "val_loss", "grad_norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_broken_number_is_enough(name: str, value: float) -> None:
    found = find_non_finite(Point(7, 70, **{name: value}))

    assert found is not None
    assert (found.kind, found.start_step, found.recovered) == (FindingKind.NON_FINITE, 7, False)
    assert found.evidence == f"{name.replace('_', ' ')} is {value} at step 7"


def test_huge_and_missing_numbers_are_not_broken() -> None:
    assert find_non_finite(Point(0, 0)) is None
    assert find_non_finite(Point(1, 1, train_loss=1e300, val_loss=0.0, grad_norm=1e30)) is None
