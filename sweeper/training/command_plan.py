"""What a command is told for a recipe: its variables, and where it runs."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

from sweeper.study import CommandEngine, Hyperparameters, Rungs, warmup_steps
from sweeper.training.command_manifest import CommandPlan
from sweeper.training.course import Course

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def plan_command(
    engine: CommandEngine,
    study_folder: Path,
    hyperparameters: Hyperparameters,
    *,
    tokens: int,
    every_tokens: int,
    threads: int,
    folder: Path,
) -> CommandPlan:
    """The plan of a recipe, with the command's folder as seen from `folder`.

    Args:
        engine: The command.
        study_folder: Where it runs.
        hyperparameters: With a seed.
        tokens: The trial's budget.
        every_tokens: Distance of the rungs.
        threads: CPU threads that its libraries may use.
        folder: Where the manifest will lie.
    """
    course = Course.of(hyperparameters, tokens, Rungs(every_tokens))
    limits = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    return CommandPlan(
        engine=engine,
        folder=os.path.relpath(study_folder.resolve(), folder.resolve()),
        variables={**limits, **variables_of(engine, hyperparameters, course)},
        hyperparameters=hyperparameters,
        tokens=tokens,
        every_tokens=every_tokens,
    )


def variables_of(
    engine: CommandEngine, hyperparameters: Hyperparameters, course: Course
) -> dict[str, str]:
    """What a command is told, by the names of its variables; nulls have none."""
    every_tokens = course.rungs.every_tokens
    values: dict[str, object] = {
        **hyperparameters.model_dump(),
        "total_steps": course.total_steps,
        "total_tokens": course.total_tokens,
        "warmup_steps": warmup_steps(hyperparameters.warmup, course.total_steps),
        "evaluate_every_steps": max(every_tokens // hyperparameters.tokens_per_step, 1),
    }
    names = engine.variables
    return {names[key]: _plain(value) for key, value in values.items() if value is not None}


def _plain(value: object) -> str:
    """Decimal text without an exponent, exact to the last bit."""
    if not isinstance(value, float):
        return str(value)
    return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
