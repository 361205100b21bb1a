from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweeper.search.drawing.space import contains, distributions_of, draw, fixed_params, record
from sweeper.study import StudySpec
from tests.search.fakes import spec_at


@pytest.mark.parametrize(
    ("name", "dimension", "expected"),
    [
        ("schedule", ["constant", "cosine"], CategoricalDistribution(["constant", "cosine"])),
        ("block_size", [16, 32], CategoricalDistribution([16, 32])),
        ("clip_norm", [1.0, None], CategoricalDistribution([1.0, None])),
        ("rank", {"low": 1, "high": 8}, IntDistribution(1, 8)),
        ("rank", {"low": 1, "high": 64, "log": True}, IntDistribution(1, 64, log=True)),
        ("batch_size", {"low": 4, "high": 16, "step": 4}, IntDistribution(4, 16, step=4)),
        ("batch_size", {"low": 4, "high": 15, "step": 4}, IntDistribution(4, 12, step=4)),
        ("dropout", {"low": 0, "high": 0.5}, FloatDistribution(0.0, 0.5)),
        ("dropout", {"low": 0, "high": 0.5, "step": 0.2}, FloatDistribution(0.0, 0.4, step=0.2)),
        (
            "learning_rate",
            {"low": "1e-5", "high": "1e-1", "log": True},
            FloatDistribution(1e-5, 1e-1, log=True),
        ),
        ("warmup", {"low": 0, "high": 20}, IntDistribution(0, 20)),
        ("warmup", {"low": "0%", "high": "20%"}, FloatDistribution(0.0, 0.2)),
    ],
)
def test_a_dimension_becomes_optunas(
    tmp_path: Path, name: str, dimension: Any, expected: object
) -> None:
    if name == "learning_rate":
        dimension = {**dimension, "low": 1e-5, "high": 1e-1}
    spec = spec_at(tmp_path, space={name: dimension})

    assert distributions_of(spec) == {name: expected}


@pytest.fixture
def wide(tmp_path: Path) -> StudySpec:
    return spec_at(
        tmp_path,
        space={
            "block_size": [16, 32],
            "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
            "rank": {"low": 1, "high": 4},
            "warmup": {"low": 0, "high": 5},
            "dropout": {"low": 0, "high": 0.5, "step": 0.2},
            "schedule": ["constant", "linear"],
        },
    )


def new_trial(**fixed: Any) -> optuna.Trial:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    if fixed:
        study.enqueue_trial(fixed)
    return study.ask()


def test_every_draw_is_a_recipe_inside_the_space(wide: StudySpec) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    dimensions = distributions_of(wide)

    for _ in range(30):
        trial = study.ask()
        recipe = draw(trial, wide)
        assert trial.params == {name: getattr(recipe, name) for name in dimensions}
        assert all(contains(dimensions[name], getattr(recipe, name)) for name in dimensions)
        assert (recipe.batch_size, recipe.alpha, recipe.seed) == (8, 4.0, 3)  # the baseline's


def test_a_fixed_recipe_is_recorded_as_it_is(wide: StudySpec) -> None:
    recipe = wide.hyperparameters_with({"block_size": 16, "rank": 3, "schedule": "constant"})
    trial = new_trial(**fixed_params(wide, recipe))

    record(trial, wide, recipe)

    assert trial.params == {
        "block_size": 16,
        "learning_rate": 1e-3,
        "rank": 3,
        "warmup": 0,
        "dropout": 0.0,
        "schedule": "constant",
    }


def test_values_outside_the_space_are_left_out(wide: StudySpec) -> None:
    recipe = wide.hyperparameters_with(
        {"block_size": 64, "learning_rate": 0.5, "warmup": 0.1, "dropout": 0.3}
    )
    trial = new_trial(**fixed_params(wide, recipe))

    record(trial, wide, recipe)

    assert trial.params == {"rank": 2, "schedule": "linear"}


@pytest.mark.parametrize(
    ("distribution", "inside", "outside"),
    [
        (CategoricalDistribution([1.0, None]), [1.0, None], [0.5, "x"]),
        (IntDistribution(1, 9, step=4), [1, 5, 9], [0, 2, 10, True, None, "5"]),
        (FloatDistribution(0.1, 0.4, step=0.1), [0.1, 0.3, 0.4], [0.0, 0.25, 0.5]),
        (FloatDistribution(1e-5, 1e-1, log=True), [1e-5, 2e-5, 0.1], [9e-6, 1, False]),
    ],
)
def test_what_a_dimension_contains(
    distribution: Any, inside: list[Any], outside: list[Any]
) -> None:
    assert all(contains(distribution, value) for value in inside)
    assert not any(contains(distribution, value) for value in outside)
