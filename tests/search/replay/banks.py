"""A bank that nobody trained: losses by a formula, over a space of four dimensions."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from sweeper.curves import Curve, Point
from sweeper.search.replay.bank import Bank, Run
from sweeper.study import Hyperparameters, Rungs, StudySpec
from sweeper.training.course import Course
from tests.search.fakes import spec_at

TOKENS = 8_000
RUNGS = Rungs(1_000, first_tokens=250)
START = 6.0
BEST_RATE = 1e-2
RATES = (1e-5, 1e-4, 1e-3, BEST_RATE, 1e-1)
SEEDS = (17, 18)
SPACE: dict[str, Any] = {
    "block_size": [16, 32],
    "batch_size": [1, 2],
    "accumulation": [1, 2],
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "schedule": ["constant", "linear"],
}


def new_spec(folder: Path, **changes: Any) -> StudySpec:
    """A study of the bank's space."""
    usual = {
        "space": SPACE,
        "budget": {"trials": 10, "tokens_per_trial": TOKENS},
        "baseline": {
            "hyperparameters": {"block_size": 16, "batch_size": 2, "learning_rate": RATES[1]}
        },
    }
    return spec_at(folder, **{**usual, **changes})


def new_bank(spec: StudySpec) -> Bank:
    """Every recipe of the space at five learning rates, with two seeds."""
    runs = []
    for block, batch, rate, schedule, seed in product(
        (16, 32), (1, 2, 4), RATES, ("constant", "linear"), SEEDS
    ):
        recipe = spec.hyperparameters_with(
            {
                "block_size": block,
                "batch_size": batch,
                "learning_rate": rate,
                "schedule": schedule,
                "seed": seed,
            }
        )
        runs.append(Run(recipe, curve_of(recipe)))
    return Bank(TOKENS, RUNGS, ("formula", "0" * 64), tuple(runs))


def curve_of(recipe: Hyperparameters) -> Curve:
    """Falls towards a floor that is lowest at one rate, and jumps for good at the highest."""
    course = Course.of(recipe, TOKENS, RUNGS)
    noise = np.random.default_rng([recipe.seed or 0, course.total_steps]).normal(0, 0.005, 10_000)
    off = abs(math.log10(recipe.learning_rate / BEST_RATE))
    floor = 3.0 + 0.5 * off + 0.02 * recipe.effective_batch
    points = []
    for step in range(course.total_steps + 1):
        tokens = course.tokens_after(step)
        loss = floor + (START - floor) * math.exp(-4 * tokens / TOKENS)
        if recipe.learning_rate > 0.05 and tokens > TOKENS / 5:
            loss = START + 3
        is_evaluated = course.is_rung(step)
        points.append(
            Point(
                step=step,
                tokens=tokens,
                train_loss=loss + noise[step] if step else None,
                val_loss=loss if is_evaluated else None,
                seconds=tokens / 1000,
            )
        )
    return Curve(tuple(points))
