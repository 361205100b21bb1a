"""When a silence is too long: against what is usual, and never where something new is due."""

from __future__ import annotations

import pytest

from sweeper.search.workers.pulse import FIRST_SECONDS, Pulse
from sweeper.study import HangRule

RULE = HangRule.model_validate({"factor": 10, "at_least": 5})


def pulse_after(*steps_s: float, rung_next: bool = False, number: int = 0) -> Pulse:
    """One trial that took so long for each of its steps."""
    pulse = Pulse(RULE)
    pulse.begin(number)
    now = 100.0
    pulse.beat(number, now, is_rung_next=False)
    for place, step_s in enumerate(steps_s, start=1):
        now += step_s
        pulse.beat(number, now, is_rung_next=rung_next and place == len(steps_s))
    return pulse


def silent(pulse: Pulse, seconds: float) -> str | None:
    for _ in range(round(seconds / 0.05)):
        pulse.tick(0.05)
    return pulse.hang()


@pytest.mark.parametrize(
    ("steps_s", "limit_s"),
    [
        ((0.1, 0.1, 0.1), 5.0),  # no less than it is given in any case
        ((1.0, 1.0, 1.0), 10.0),
        ((1.0, 1.0, 1.0, 1.0, 7.0), 21.0),  # what ended well once may take so long again
    ],
)
def test_a_step_may_take_some_times_as_long_as_usual(
    steps_s: tuple[float, ...], limit_s: float
) -> None:
    pulse = pulse_after(*steps_s)
    assert pulse.limit_s == pytest.approx(limit_s)
    assert silent(pulse, limit_s - 0.5) is None
    hang = silent(pulse, 1.0)
    assert hang is not None
    assert hang.startswith("it hung: no step for")


def test_what_is_due_for_the_first_time_is_given_a_long_while() -> None:
    fresh = Pulse(RULE)
    fresh.begin(0)
    assert fresh.limit_s == FIRST_SECONDS
    assert pulse_after().limit_s == FIRST_SECONDS
    assert pulse_after(0.1, 0.1).limit_s < FIRST_SECONDS
    assert pulse_after(0.1, 0.1, rung_next=True).limit_s == FIRST_SECONDS


def test_an_evaluation_is_held_against_those_before() -> None:
    pulse = pulse_after(0.1, 0.1, rung_next=True)
    pulse.beat(0, 100.2 + 60.0, is_rung_next=False)
    pulse.beat(0, 160.3, is_rung_next=True)
    assert pulse.limit_s == pytest.approx(180.0)


def test_a_trial_that_begins_beside_others_is_waited_for() -> None:
    pulse = pulse_after(0.1, 0.1)
    pulse.begin(1)
    assert pulse.limit_s == FIRST_SECONDS
    pulse.end(1)
    assert pulse.limit_s == pytest.approx(5.0)


def test_silence_ends_with_a_beat_and_means_nothing_before_the_first_trial() -> None:
    pulse = pulse_after(0.1, 0.1)
    assert silent(pulse, 4.0) is None
    pulse.beat(0, 104.0, is_rung_next=False)
    assert silent(pulse, 4.0) is None
    assert silent(Pulse(RULE), 2 * FIRST_SECONDS) is None


def test_those_who_have_ended_a_trial_hang_as_well() -> None:
    """They are about to ask for another one, or to leave."""
    pulse = pulse_after(0.1, 0.1)
    pulse.end(0)
    assert silent(pulse, pulse.limit_s - 0.5) is None
    assert silent(pulse, 1.0) is not None


def test_our_own_sleep_is_nobodys_silence() -> None:
    pulse = pulse_after(0.1, 0.1)
    pulse.tick(3600.0)
    assert pulse.hang() is None
