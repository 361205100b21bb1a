from __future__ import annotations

import pytest

from sweeper.diagnosis.speed import speed_segments
from tests.diagnosis.fakes import RECORDED_CONFIG, case_of, points, recorded_case


def test_the_recorded_run_lost_two_fifths_of_its_speed() -> None:
    fast, slow = speed_segments(recorded_case())

    assert (fast.start_step, fast.end_step, fast.change) == (0, 2000, None)
    assert (slow.start_step, slow.end_step) == (2000, 2500)
    assert 1 / fast.step_seconds == pytest.approx(1.05, abs=0.006)
    assert 1 / slow.step_seconds == pytest.approx(0.62)
    assert slow.change == pytest.approx(-0.41, abs=0.005)
    assert fast.tokens_per_second == pytest.approx(2048 * 1.05)


def test_without_a_configuration_tokens_per_second_are_unknown() -> None:
    assert [segment.tokens_per_second for segment in speed_segments(recorded_case({}))] == [
        None,
        None,
    ]


def test_a_steady_run_is_one_segment() -> None:
    case = case_of(points([3.0] * 60, step_seconds=[0.5] * 60), config=RECORDED_CONFIG)

    (segment,) = speed_segments(case)

    assert (segment.start_step, segment.end_step, segment.step_seconds) == (0, 59, 0.5)
    assert segment.tokens_per_second == 4096


def test_a_run_that_becomes_faster_has_a_positive_change() -> None:
    case = case_of(points([3.0] * 120, step_seconds=[1.0] * 60 + [0.5] * 60))

    assert [segment.change for segment in speed_segments(case)] == [None, pytest.approx(1.0)]


def test_no_times_no_segments() -> None:
    assert speed_segments(case_of(points([3.0, 2.0]))) == ()
