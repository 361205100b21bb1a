"""The curve that trials are held to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.search.pace import Pace

POINTS = st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.1, 9.0)), max_size=12)


def pace_of(*points: tuple[int, float]) -> Pace:
    pace = Pace.of(6.0, points)
    assert pace is not None
    return pace


def test_at_its_records_it_is_what_was_reached_first() -> None:
    pace = pace_of((0, 6.0), (100, 5.5), (200, 5.6), (400, 5.0), (400, 5.2), (800, 5.0))
    assert pace.gain == pytest.approx(1.0)
    assert [pace.gain_at(t) for t in (100, 400, 900)] == pytest.approx([0.5, 1.0, 1.0])
    assert [pace.tokens_to(gain) for gain in (0.5, 1.0)] == pytest.approx([100, 400])


def test_between_records_the_gain_is_a_power_of_the_tokens() -> None:
    pace = pace_of(*((t, 6 - 0.01 * t**0.7) for t in (10, 100, 1_000)))
    for tokens in (12, 50, 300, 999):
        assert pace.gain_at(tokens) == pytest.approx(0.01 * tokens**0.7)
        assert pace.tokens_to(0.01 * tokens**0.7) == pytest.approx(tokens)


def test_what_was_before_the_first_record_is_guessed_as_the_square_of_the_tokens() -> None:
    pace = pace_of((100, 5.0), (200, 4.5))
    assert pace.first_tokens == pytest.approx(100)
    assert pace.gain_at(50) == pytest.approx(0.25)
    assert pace.tokens_to(0.25) == pytest.approx(50)


@pytest.mark.parametrize("points", [[], [(0, 5.0)], [(0, 6.0), (10, 6.0), (20, 6.5)]])
def test_who_gained_nothing_sets_no_pace(points: list[tuple[int, float]]) -> None:
    assert Pace.of(6.0, points) is None


@settings(deadline=None, derandomize=True)
@given(POINTS, st.floats(10, 20_000), st.floats(10, 20_000))
def test_it_never_falls_back_and_hangs_on_no_order(
    points: list[tuple[int, float]], one: float, other: float
) -> None:
    pace, again = Pace.of(9.5, points), Pace.of(9.5, points[::-1])
    if pace is None or again is None:
        assert pace is again
        return
    early, late = sorted((one, other))
    assert 0 < pace.gain_at(early) <= pace.gain_at(late) <= pace.gain * (1 + 1e-12)
    assert pace.gain_at(early) == again.gain_at(early)
    assert pace.tokens_to(pace.gain_at(early)) <= early * (1 + 1e-9)
