"""Largest gradient norms by stretches of steps."""

from __future__ import annotations

import math

import pytest

from sweeper.curves.curve import Curve, Point
from sweeper.reports.gradients import GradNormMaximum, grad_norm_maxima


def curve_of(norms: dict[int, float | None]) -> Curve:
    return Curve(tuple(Point(step=s, tokens=s, grad_norm=n) for s, n in norms.items()))


def test_stretches_begin_after_multiples_of_a_hundred() -> None:
    maxima = grad_norm_maxima(curve_of({0: 9.0, 1: 1.0, 100: 2.0, 101: 3.0, 150: 0.5}))
    assert maxima == [GradNormMaximum(1, 100, 9.0, 0), GradNormMaximum(101, 150, 3.0, 0)]


def test_nan_and_infinite_norms_are_left_out_and_counted() -> None:
    maxima = grad_norm_maxima(curve_of({1: math.nan, 2: 1.5, 3: math.inf, 101: math.nan}))
    assert maxima == [GradNormMaximum(1, 3, 1.5, 2), GradNormMaximum(101, 101, None, 1)]


def test_a_stretch_without_norms_is_left_out() -> None:
    assert [m.start_step for m in grad_norm_maxima(curve_of({5: 1.0, 150: None, 250: 2.0}))] == [
        1,
        201,
    ]


def test_an_empty_curve_has_no_maxima() -> None:
    assert grad_norm_maxima(Curve()) == []


def test_the_stretch_must_be_positive() -> None:
    with pytest.raises(ValueError, match="every_steps is 0"):
        grad_norm_maxima(Curve(), 0)
