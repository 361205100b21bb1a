"""Dimensions of the search space, right ones and wrong ones."""

from __future__ import annotations

import pytest

from sweeper.study import Choice, Range, load_study

from .conftest import MINIMAL, Problems, Write

TOP = MINIMAL.rsplit("space:", 1)[0]


@pytest.mark.parametrize(
    ("written", "dimension"),
    [
        ("batch_size: [4, 8]", Choice((4, 8))),
        ("learning_rate: [1, 2e-5]", Choice((1.0, 2e-5))),
        ("schedule: [constant, cosine]", Choice(("constant", "cosine"))),
        ("clip_norm: [null, 1]", Choice((None, 1.0))),
        ("warmup: [0, 10%, 50]", Choice((0, 0.1, 50))),
        ("target_modules: [c_fc+c_attn, [c_proj]]", Choice(("c_attn+c_fc", "c_proj"))),
        ("seed: [1, 2, 3]", Choice((1, 2, 3))),
        ("rank: {low: 2, high: 8}", Range(low=2, high=8)),
        ("rank: {low: 2, high: 64, log: true}", Range(low=2, high=64, log=True)),
        ("batch_size: {low: 4, high: 16, step: 4}", Range(low=4, high=16, step=4)),
        ("alpha: {low: 8, high: 32, step: 8}", Range(low=8.0, high=32.0, step=8.0)),
        ("warmup: {low: 0, high: 20%, step: 5%}", Range(low=0.0, high=0.2, step=0.05)),
        ("warmup: {low: 0, high: 500}", Range(low=0, high=500)),
    ],
)
def test_dimension(written: str, dimension: Choice | Range, write: Write) -> None:
    (got,) = load_study(write(f"{TOP}space: {{{written}}}\n")).space.values()
    assert repr(got) == repr(dimension)  # unlike ==, it tells 1 from 1.0


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "rank: 8",
            "5:15  space.rank: cannot search the number 8 "
            "(allowed: a list of values, or {low, high})",
        ),
        (
            "schedule: linear",
            "5:19  space.schedule: cannot search the text 'linear' (allowed: a list of values)",
        ),
        ("rank: []", "5:15  space.rank: the list is empty (allowed: one value or more)"),
        ("rank: [4, 8, 4]", "5:22  space.rank.2: 4 is listed twice (allowed: distinct values)"),
        ("alpha: [1, 1.0]", "5:20  space.alpha.1: 1.0 is listed twice (allowed: distinct values)"),
        (
            "rank: [4, 8.5]",
            "5:19  space.rank.1: expected a whole number, got the number 8.5 "
            "(allowed: a whole number, at least 1)",
        ),
        ("rank: {low: 8, high: 8}", "5:30  space.rank.high: 8 is not above low (allowed: above 8)"),
        (
            "dropout: {low: 0, high: 0.5, log: true}",
            "5:24  space.dropout.low: 0.0 has no logarithm (allowed with log: above 0)",
        ),
        (
            "rank: {low: 1, high: 8, log: true, step: 1}",
            "5:50  space.rank.step: a step does not go with log (allowed: one of the two)",
        ),
        (
            "rank: {low: 1, high: 8, step: 0.5}",
            "5:39  space.rank.step: 0.5 is not whole (allowed: a whole number)",
        ),
        (
            "rank: {low: 1, high: 8, step: 9}",
            "5:39  space.rank.step: 9 does not fit the range "
            "(allowed: above 0 and at most high - low = 7)",
        ),
        (
            "rank: {low: 1, high: 8, step: 0}",
            "5:39  space.rank.step: 0 does not fit the range "
            "(allowed: above 0 and at most high - low = 7)",
        ),
        (
            "rank: {low: 1, high: 8, log: 1}",
            "5:38  space.rank.log: expected true or false, got the number 1 (allowed: true, false)",
        ),
        (
            "learning_rate: {low: 0, high: 1}",
            "5:30  space.learning_rate.low: the number 0 is out of range "
            "(allowed: a number above 0 and at most 10)",
        ),
        ("rank: {low: 1}", "5:15  space.rank.high: this key is missing and has no default"),
        (
            "rank: {low: 1, high: 8, lgg: true}",
            "5:33  space.rank.lgg: unknown key, did you mean log? (allowed: low, high, log, step)",
        ),
        (
            "warmup: {low: 0.1, high: 20}",
            "5:34  space.warmup.high: one end is a share and the other is steps "
            "(allowed: both alike)",
        ),
        (
            "schedule: {low: 1, high: 2}",
            "5:19  space.schedule: schedule is not a number and has no range "
            "(allowed: a list of values)",
        ),
    ],
)
def test_dimension_refused(written: str, expected: str, problems: Problems) -> None:
    assert problems(f"{TOP}space: {{{written}}}\n") == [expected]


def test_unknown_hyperparameter_is_placed_at_its_name(problems: Problems) -> None:
    (problem,) = problems(f"{TOP}space:\n  learning_rte: [1]\n")
    assert problem.startswith(
        "6:3  space.learning_rte: unknown hyperparameter, did you mean learning_rate?"
    )


def test_every_wrong_element_is_reported(problems: Problems) -> None:
    got = problems(f"{TOP}space:\n  rank:\n    - 0\n    - 4\n    - x\n  alpha: [0]\n")
    assert [problem.split("  ")[0] for problem in got] == ["7:7", "9:7", "10:11"]


def test_grid_values_do_not_drift() -> None:
    assert Range(low=0.0, high=0.3, step=0.1).grid_values() == (0.0, 0.1, 0.2, 0.3)
    assert Range(low=2, high=9, step=3).grid_values() == (2, 5, 8)
    assert Range(low=2, high=9, step=3).grid_size() == 3


def test_range_without_step_has_no_grid() -> None:
    with pytest.raises(ValueError, match="without a step"):
        Range(low=0.1, high=0.3).grid_values()
