from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sweeper.curves import Curve, Point
from sweeper.curves.comparison import Sameness, compare_curves

POINTS = tuple(
    Point(i, i * 64, train_loss=5.0 - i, val_loss=6.0 - i, learning_rate=0.1, grad_norm=1.0)
    for i in range(4)
)


def changed(index: int, **values: float | None) -> Curve:
    points = list(POINTS)
    points[index] = replace(points[index], **values)  # type: ignore[arg-type]
    return Curve(tuple(points))


def test_equal_curves_are_bit_exact_whatever_they_took() -> None:
    slower = Curve(tuple(replace(point, seconds=99.0) for point in POINTS))

    found = compare_curves(Curve(POINTS), slower)

    assert found.sameness is Sameness.BIT_EXACT
    assert (found.num_points, found.largest_difference, found.first_difference) == (4, 0.0, "")


def test_a_last_bit_is_within_tolerance_and_named() -> None:
    loss = math.nextafter(3.0, 4.0)

    found = compare_curves(Curve(POINTS), changed(2, train_loss=loss))

    assert found.sameness is Sameness.WITHIN_TOLERANCE
    assert found.largest_difference == loss - 3.0
    assert found.first_difference == f"step 2: train loss 3.0 was recorded, {loss!r} came now"


@pytest.mark.parametrize(
    ("difference", "sameness"), [(0.0625, "within tolerance"), (0.125, "FAIL")]
)
def test_the_tolerance_decides(difference: float, sameness: str) -> None:
    found = compare_curves(
        Curve(POINTS), changed(1, val_loss=5.0 + difference), tolerance_nats=0.0625
    )

    assert found.sameness == sameness
    assert found.largest_difference == difference


def test_the_first_difference_is_named_and_the_largest_measured() -> None:
    points = list(changed(1, val_loss=5.5))
    points[3] = replace(points[3], train_loss=9.0)

    found = compare_curves(Curve(POINTS), Curve(tuple(points)))

    assert found.first_difference.startswith("step 1: val loss 5.0")
    assert found.largest_difference == 7.0
    assert found.sameness is Sameness.FAIL


@pytest.mark.parametrize(
    "values",
    [
        {"tokens": 65},
        {"learning_rate": 0.1000001},
        {"val_loss": None},
        {"val_loss": math.nan},
        {"train_loss": math.inf},
    ],
)
def test_what_no_rounding_explains_fails(values: dict[str, float | None]) -> None:
    for one, other in (
        (Curve(POINTS), changed(1, **values)),
        (changed(1, **values), Curve(POINTS)),
    ):
        found = compare_curves(one, other, tolerance_nats=100.0)

        assert found.sameness is Sameness.FAIL
        assert found.largest_difference == math.inf


def test_gradient_norms_are_shown_but_decide_nothing() -> None:
    found = compare_curves(Curve(POINTS), changed(1, grad_norm=7.0))

    assert found.sameness is Sameness.WITHIN_TOLERANCE
    assert found.first_difference == "step 1: grad norm 1.0 was recorded, 7.0 came now"


@pytest.mark.parametrize("num", [0, 3])
def test_missing_points_fail(num: int) -> None:
    found = compare_curves(Curve(POINTS), Curve(POINTS[:num]))

    assert found.sameness is Sameness.FAIL
    assert found.first_difference == f"4 points were recorded, {num} came now"
    assert found.num_points == num


def test_nan_equals_nan() -> None:
    broken = changed(3, train_loss=math.nan, val_loss=math.nan)

    assert compare_curves(broken, broken).sameness is Sameness.BIT_EXACT
