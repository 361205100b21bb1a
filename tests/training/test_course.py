"""A budget of tokens as blocks, steps and rungs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.study import Hyperparameters, Rungs
from sweeper.training.course import Course


def course(tokens: int, block: int = 16, batch: int = 4, every: int = 100) -> Course:
    return Course.of(Hyperparameters(block_size=block, batch_size=batch), tokens, Rungs(every))


def test_last_step_is_short_where_the_blocks_do_not_fill_it() -> None:
    it = course(1_000)
    assert (it.num_blocks, it.total_steps, it.total_tokens) == (62, 16, 992)
    assert it.blocks_of(0) == (0, 4)
    assert it.blocks_of(14) == (56, 4)
    assert it.blocks_of(15) == (60, 2)


@pytest.mark.parametrize(
    ("steps", "tokens"), [(0, 0), (1, 64), (15, 960), (16, 992)], ids=["0", "1", "15", "last"]
)
def test_tokens_after_counts_what_was_seen(steps: int, tokens: int) -> None:
    assert course(1_000).tokens_after(steps) == tokens


def test_effective_batch_is_what_a_step_takes() -> None:
    recipe = Hyperparameters(block_size=16, batch_size=4, accumulation=8)
    assert Course.of(recipe, 16 * 70, Rungs(100)).blocks_of(2) == (64, 6)


def test_budget_below_one_block_is_one_block() -> None:
    it = course(3)
    assert (it.num_blocks, it.total_steps, it.blocks_of(0)) == (1, 1, (0, 1))


def test_rungs_are_the_first_steps_at_or_past_each_multiple() -> None:
    it = course(1_000, every=200)  # 64 tokens a step: 200 is passed at 256, 400 at 448, ...
    assert [s for s in range(it.total_steps + 1) if it.is_rung(s)] == [0, 4, 7, 10, 13, 16]


def test_a_multiple_met_exactly_is_a_rung_once() -> None:
    it = course(64 * 6, every=128)
    assert [s for s in range(it.total_steps + 1) if it.is_rung(s)] == [0, 2, 4, 6]


def test_early_rungs_come_before_the_even_ones_and_share_a_wide_step() -> None:
    it = Course.of(Hyperparameters(block_size=16, batch_size=4), 1_000, Rungs(400, 20))
    # 20 and 40 are passed at 64, 80 at 128, 160 at 192, 320 exactly, 400 at 448, 800 at 832
    assert [s for s in range(it.total_steps + 1) if it.is_rung(s)] == [0, 1, 2, 3, 5, 7, 13, 16]


def test_steps_wider_than_the_distance_are_all_rungs() -> None:
    it = course(640, every=10)
    assert all(it.is_rung(step) for step in range(it.total_steps + 1))


@settings(deadline=None, derandomize=True)
@given(
    tokens=st.integers(1, 5_000),
    block=st.integers(2, 70),
    batch=st.integers(1, 40),
    accumulation=st.integers(1, 4),
)
def test_every_block_is_trained_once_and_the_budget_kept(
    tokens: int, block: int, batch: int, accumulation: int
) -> None:
    recipe = Hyperparameters(block_size=block, batch_size=batch, accumulation=accumulation)
    it = Course.of(recipe, tokens, Rungs(50))
    seen = [
        number
        for step in range(it.total_steps)
        for first, count in [it.blocks_of(step)]
        for number in range(first, first + count)
    ]
    assert seen == list(range(it.num_blocks))
    assert all(it.blocks_of(step)[1] >= 1 for step in range(it.total_steps))
    assert abs(it.total_tokens - tokens) < block
    assert it.tokens_after(it.total_steps) == it.total_tokens


@settings(deadline=None, derandomize=True)
@given(tokens=st.integers(1, 3_000), batch=st.integers(1, 9), every=st.integers(1, 900))
def test_there_is_a_rung_for_every_multiple_passed(tokens: int, batch: int, every: int) -> None:
    it = course(tokens, batch=batch, every=every)
    rungs = [step for step in range(1, it.total_steps) if it.is_rung(step)]
    passed = {it.tokens_after(step) // every for step in range(1, it.total_steps)} - {0}
    assert len(rungs) == len(passed)
