from __future__ import annotations

import math

import pytest

from sweeper.curves import Curve, FindingKind
from sweeper.curves.series import Series
from sweeper.diagnosis.excursion import (
    excluded_steps,
    finite_points,
    main_rises,
    rises,
    without_steps,
)
from tests.diagnosis.fakes import case_of, finding, points, recorded_case, spike


def test_the_recorded_rise_in_both_series() -> None:
    case = recorded_case()
    (jump,) = case.of_kind(FindingKind.SPIKE)

    train, val = rises(case.curve, jump)

    assert (train.series, val.series) == ("train_loss", "val_loss")
    assert (train.before, train.peak, train.after) == (6.6511, 9.5846, 6.6424)
    assert (train.before_step, train.peak_step, train.after_step) == (1500, 2000, 2500)
    assert train.height == pytest.approx(2.9335)
    assert train.elevated_steps == (2000,)
    assert train.is_above_start
    assert val.is_above_start


def test_a_noisy_last_point_before_does_not_make_a_rise_smaller() -> None:
    (rise,) = rises(Curve(points([3.0, 3.0, 3.0, 3.0, 3.4, 9.0])), spike(5))

    assert (rise.before, rise.level, rise.base) == (3.4, 3.0, 3.0)
    assert rise.height == 6.0


def test_only_points_in_the_upper_half_are_elevated() -> None:
    losses = [3.0, 3.0, 3.0, 5.0, 9.0, 7.0, 4.0, 3.1, 3.0]

    (rise,) = rises(Curve(points(losses)), spike(3, 6))

    assert rise.elevated_steps == (4, 5)
    assert (rise.after_step, rise.after) == (7, 3.1)


def test_where_the_finding_ends_at_its_peak_the_next_point_is_the_one_after() -> None:
    (rise,) = rises(Curve(points([3.0, 3.0, 9.0, 3.5])), spike(2, 2))

    assert (rise.after_step, rise.after) == (3, 3.5)


def test_a_series_logged_at_other_steps_may_show_it_after_the_last_high_step() -> None:
    train = [None if step == 5 else 9.0 if step == 4 else 3.0 for step in range(8)]
    val = [9.0 if step == 5 else 3.0 if step in (1, 7) else None for step in range(8)]
    seen = finding(FindingKind.SPIKE, 4, recovered=True, recovered_step=6)

    of_train, of_val = rises(Curve(points(train, val)), seen)

    assert (of_train.peak_step, of_train.after_step) == (4, 6)
    assert (of_val.peak_step, of_val.elevated_steps, of_val.after_step) == (5, (5,), 7)


def test_what_ends_in_a_spike_has_nothing_after_it() -> None:
    (rise,) = rises(Curve(points([3.0, 3.0, 9.0, 9.0])), spike(2, 3, recovered=False))

    assert (rise.after_step, rise.after, rise.settled) == (None, None, None)


@pytest.mark.parametrize(
    "losses",
    [
        pytest.param([9.0, 3.0, 3.0], id="nothing before it"),
        pytest.param([3.0, 3.0, 2.0], id="no rise"),
        pytest.param([3.0, 3.0, math.nan], id="no number in it"),
    ],
)
def test_no_rise_where_none_can_be_seen(losses: list[float]) -> None:
    start = 0 if losses[0] == 9.0 else 2

    assert rises(Curve(points(losses)), spike(start)) == ()


def test_a_late_log_shows_no_start() -> None:
    (late,) = rises(Curve(points([3.0, 3.0, 9.0], start=101)), spike(103))
    (early,) = rises(Curve(points([3.0, 3.0, 9.0], start=100)), spike(102))

    assert (late.shows_start, late.is_above_start) == (False, False)
    assert (early.shows_start, early.is_above_start) == (True, True)


def test_a_spike_and_the_divergence_that_it_began_are_one() -> None:
    lasting = finding(FindingKind.DIVERGENCE, 5, 9, recovered=False)
    healed, fatal = spike(2), spike(5, 9, recovered=False)
    case = case_of(points([3.0] * 10), [healed, fatal, lasting])

    assert main_rises(case) == (healed, lasting)


def test_points_of_spikes_are_left_out() -> None:
    case = recorded_case()

    steps = excluded_steps(case.findings, case.losses)

    assert steps == {2000}
    left = without_steps(case.losses["val_loss"], steps)
    assert left.steps.tolist() == [0, 500, 1000, 1500, 2500]
    assert without_steps(left, frozenset()) is left


def test_points_that_are_no_number_are_no_points() -> None:
    curve = Curve(points([3.0, math.nan, None, math.inf, 2.0]))

    assert finite_points(curve, "train_loss") == [(0, 3.0), (4, 2.0)]
    assert finite_points(curve, "val_loss") == []
    assert len(Series.of(curve, "val_loss")) == 0
