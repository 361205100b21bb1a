"""The learning rate against values computed by hand, and against what every schedule must keep."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.study import Hyperparameters, warmup_steps
from sweeper.study.schedule import decay_left, learning_rate_at

SEED_RUN = Hyperparameters(
    learning_rate=2e-5, schedule="cosine", warmup=500, warmup_start_factor=0.1
)


def recipe(**changes: object) -> Hyperparameters:
    return Hyperparameters.model_validate({"learning_rate": 1.0, **changes})


@pytest.mark.parametrize(
    ("changes", "step", "total", "rate"),
    [
        ({"schedule": "constant"}, 0, 10, 1.0),
        ({"schedule": "constant"}, 9, 10, 1.0),
        ({"schedule": "constant", "floor_factor": 0.5}, 9, 10, 1.0),
        ({"schedule": "linear"}, 0, 10, 1.0),
        ({"schedule": "linear"}, 5, 10, 0.5),
        ({"schedule": "linear"}, 9, 10, 0.1),
        ({"schedule": "linear"}, 10, 10, 0.0),
        ({"schedule": "linear", "floor_factor": 0.2}, 5, 10, 0.6),
        ({"schedule": "cosine"}, 5, 10, 0.5),
        ({"schedule": "cosine"}, 10, 10, 0.0),
        ({"schedule": "cosine"}, 25, 100, 0.853553390593),
        ({"schedule": "cosine", "floor_factor": 0.1}, 50, 100, 0.55),
        ({"schedule": "constant", "warmup": 4}, 0, 10, 0.1),
        ({"schedule": "constant", "warmup": 4}, 1, 10, 0.325),
        ({"schedule": "constant", "warmup": 4}, 3, 10, 0.775),
        ({"schedule": "constant", "warmup": 4}, 4, 10, 1.0),
        ({"schedule": "constant", "warmup": 0.4}, 1, 10, 0.325),
        ({"schedule": "constant", "warmup": 4, "warmup_start_factor": 0.0}, 0, 10, 0.0),
        ({"schedule": "constant", "warmup": 4, "warmup_start_factor": 1.0}, 0, 10, 1.0),
        ({"schedule": "linear", "warmup": 4}, 7, 10, 0.5),
        ({"schedule": "linear", "warmup": 20, "warmup_start_factor": 0.0}, 9, 10, 0.9),
    ],
)
def test_rate_table(changes: dict[str, object], step: int, total: int, rate: float) -> None:
    assert learning_rate_at(step, total, recipe(**changes)) == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize(
    ("step", "floor", "rate"),
    [
        (0, 0.0, 2e-6),
        (250, 0.0, 1.1e-5),
        (500, 0.0, 2e-5),
        (2000, 0.0, 1.5e-5),
        (2000, 0.1, 1.55e-5),
        (2750, 0.0, 1e-5),
        (5000, 0.0, 0.0),
        (5000, 0.1, 2e-6),
    ],
)
def test_rates_of_a_long_run_with_warmup_and_cosine(step: int, floor: float, rate: float) -> None:
    hyperparameters = SEED_RUN.model_copy(update={"floor_factor": floor})
    assert abs(learning_rate_at(step, 5000, hyperparameters) - rate) < 1e-12


@pytest.mark.parametrize(
    ("changes", "step", "left"),
    [
        ({"schedule": "constant"}, 3, 0.0),
        ({"schedule": "linear"}, 0, 1.0),
        ({"schedule": "linear"}, 7, 0.3),
        ({"schedule": "linear"}, 10, 0.0),
        ({"schedule": "linear", "floor_factor": 0.5}, 0, 0.5),
        ({"schedule": "linear", "warmup": 5}, 2, 1.0),
        ({"schedule": "cosine"}, 5, 0.5),
    ],
)
def test_decay_left(changes: dict[str, object], step: int, left: float) -> None:
    assert decay_left(step, 10, recipe(**changes)) == pytest.approx(left, abs=1e-12)


RECIPES = st.builds(
    recipe,
    learning_rate=st.floats(1e-6, 1.0),
    schedule=st.sampled_from(["constant", "linear", "cosine"]),
    warmup=st.one_of(st.integers(0, 40), st.floats(0, 0.99)),
    warmup_start_factor=st.floats(0, 1),
    floor_factor=st.floats(0, 1),
)


@settings(deadline=None, derandomize=True)
@given(hyperparameters=RECIPES, total=st.integers(1, 60))
def test_rate_rises_to_its_peak_and_never_rises_again(
    hyperparameters: Hyperparameters, total: int
) -> None:
    rates = [learning_rate_at(step, total, hyperparameters) for step in range(total + 1)]
    warmup = warmup_steps(hyperparameters.warmup, total)
    peak = hyperparameters.learning_rate
    slack = 1e-12 * peak
    assert all(0 <= rate <= peak + slack for rate in rates)
    assert all(a <= b + slack for a, b in pairwise(rates[:warmup]))
    assert all(a >= b - slack for a, b in pairwise(rates[warmup:]))


@settings(deadline=None, derandomize=True)
@given(hyperparameters=RECIPES, total=st.integers(2, 60))
def test_warmup_meets_the_schedule_without_a_jump(
    hyperparameters: Hyperparameters, total: int
) -> None:
    warmup = warmup_steps(hyperparameters.warmup, total)
    if not 0 < warmup < total:
        return
    peak = hyperparameters.learning_rate
    rise = peak * (1 - hyperparameters.warmup_start_factor) / warmup
    before = learning_rate_at(warmup - 1, total, hyperparameters)
    at = learning_rate_at(warmup, total, hyperparameters)
    assert at == pytest.approx(peak, rel=1e-12)
    assert at - before == pytest.approx(rise, abs=1e-12)


@settings(deadline=None, derandomize=True)
@given(hyperparameters=RECIPES, total=st.integers(1, 60), step=st.integers(0, 60))
def test_decay_left_is_a_share(hyperparameters: Hyperparameters, total: int, step: int) -> None:
    left = decay_left(min(step, total), total, hyperparameters)
    assert -1e-12 <= left <= 1 - hyperparameters.floor_factor + 1e-12
