"""Where every trial is evaluated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.study import Rungs

TOKENS = st.integers(1, 5_000)


def test_even_rungs() -> None:
    assert Rungs(40).within(130) == (40, 80, 120)


@pytest.mark.parametrize(
    ("first", "early"), [(5, (5, 10, 20)), (9, (9, 18, 36)), (20, (20,)), (40, ()), (None, ())]
)
def test_early_rungs_double_up_to_the_first_even_one(
    first: int | None, early: tuple[int, ...]
) -> None:
    rungs = Rungs(40, first)
    assert rungs.early == early
    assert rungs.within(80) == (*early, 40, 80)
    assert rungs.within(40 - 1) == early


@given(TOKENS, st.none() | TOKENS, TOKENS)
def test_what_has_passed_is_what_lies_within(every: int, first: int | None, tokens: int) -> None:
    rungs = Rungs(every, first)
    within = rungs.within(tokens)
    assert rungs.passed(tokens) == len(within)
    assert list(within) == sorted(set(within))
    assert all(rungs.passed(rung) == place for place, rung in enumerate(within, start=1))
