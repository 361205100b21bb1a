"""What the columns of a log show of its run's schedule and length."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sweeper.curves import Curve, Point
from sweeper.diagnosis.case import RunConfig
from sweeper.diagnosis.logged import logged_facts
from sweeper.study import Hyperparameters
from sweeper.study.schedule import learning_rate_at

TOTAL = 1000


def curve_of(schedule: str, *, every: int, until: int = TOTAL, warmup: int = 100) -> Curve:
    recipe = Hyperparameters.model_validate(
        {"learning_rate": 1e-3, "schedule": schedule, "warmup": warmup, "warmup_start_factor": 0}
    )
    return Curve(
        tuple(
            Point(step, 0, learning_rate=learning_rate_at(step, TOTAL, recipe))
            for step in range(0, until + 1, every)
        )
    )


def facts(curve: Curve, **known: object) -> Mapping[str, object]:
    return logged_facts(curve, RunConfig(known))


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("every", [1, 10, 50])
def test_a_schedule_of_known_length_is_recognised(schedule: str, every: int) -> None:
    assert facts(curve_of(schedule, every=every), total_steps=TOTAL) == {
        "learning_rate": 1e-3,
        "warmup": 100,
        "schedule": schedule,
    }


def test_a_straight_fall_needs_no_length_and_a_curved_one_does() -> None:
    assert facts(curve_of("linear", every=10, until=600))["schedule"] == "linear"
    assert "schedule" not in facts(curve_of("cosine", every=10, until=600))


def test_a_peak_is_not_claimed_while_the_rate_still_rises() -> None:
    assert facts(curve_of("linear", every=10, until=90)) == {}


def test_a_log_that_misses_the_warmup_says_nothing_about_it() -> None:
    points = curve_of("linear", every=10, warmup=0).points[1:]
    assert facts(Curve(points)) == {"learning_rate": 0.00099, "schedule": "linear"}


def test_a_log_that_starts_in_the_middle_of_a_fall_shows_no_peak() -> None:
    points = curve_of("cosine", every=10).points[40:]
    assert facts(Curve(points), total_steps=TOTAL) == {}


def test_a_slow_fall_is_not_taken_for_a_constant_rate() -> None:
    points = curve_of("cosine", every=1, until=106).points[100:]
    assert facts(Curve(points)) == {}


def test_a_constant_rate_may_be_seen_late() -> None:
    points = curve_of("constant", every=10).points[50:]
    assert facts(Curve(points)) == {"learning_rate": 1e-3, "schedule": "constant"}


def test_epochs_tell_the_length() -> None:
    points = tuple(Point(step, 0, epoch=step / 400) for step in range(0, 500, 50))

    assert facts(Curve(points), num_epochs=3.0) == {"total_steps": 1200}
    assert facts(Curve(points)) == {}


@pytest.mark.parametrize("rates", [[], [1e-3], [0.0, 0.0], [float("nan"), 1e-3, float("inf")]])
def test_too_few_rates_say_nothing(rates: list[float]) -> None:
    points = tuple(Point(step, 0, learning_rate=rate) for step, rate in enumerate(rates))
    assert facts(Curve(points)) == {}
