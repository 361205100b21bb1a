"""The learning rate at a step of a logged run: as logged, or recomputed from its schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import ValidationError

from sweeper.curves import Curve
from sweeper.curves.series import Series
from sweeper.diagnosis.case import Case, RunConfig
from sweeper.study import Hyperparameters, warmup_steps
from sweeper.study.schedule import learning_rate_at

_SCHEDULE_KEYS = ("learning_rate", "schedule", "warmup", "warmup_start_factor", "floor_factor")


def schedule_of(
    config: RunConfig, changes: Mapping[str, object] | None = None
) -> Hyperparameters | None:
    """The run's schedule; None unless peak and shape are known, and the length where it matters.

    A warmup or a floor that nobody mentioned is taken for none: `changes` tells what other values
    would give.
    """
    if not (config.is_known("learning_rate") and config.is_known("schedule")):
        return None
    if config.get("schedule") != "constant" and config.number("total_steps") is None:
        return None
    known = {name: config.get(name) for name in _SCHEDULE_KEYS if config.is_known(name)}
    try:
        return Hyperparameters.model_validate(known | dict(changes or {}))
    except ValidationError:
        return None


def scheduled_rate(
    config: RunConfig, step: int, changes: Mapping[str, object] | None = None
) -> float | None:
    """The rate that the optimizer uses after so many steps; None where it cannot be computed."""
    schedule = schedule_of(config, changes)
    if schedule is None:
        return None
    return learning_rate_at(step, int(config.number("total_steps") or 0), schedule)


def logged_rate(curve: Curve, step: int) -> float | None:
    """The rate that the log shows at a step, or last before it."""
    rates = Series.of(curve, "learning_rate").between(-math.inf, step).values
    return float(rates[-1]) if len(rates) else None


def rate_at(case: Case, step: int) -> float | None:
    """The logged rate; where none was logged, the scheduled one."""
    logged = logged_rate(case.curve, step)
    return logged if logged is not None else scheduled_rate(case.config, step)


def warmup_end(config: RunConfig) -> int | None:
    """The first step after the warmup; None where the warmup is not known."""
    schedule = schedule_of(config)
    if schedule is None or not config.is_known("warmup"):
        return None
    return warmup_steps(schedule.warmup, int(config.number("total_steps") or 0))


def steps_into_decay(config: RunConfig, step: int) -> int | None:
    """Steps since the rate began to fall; None before that, or where it never falls."""
    schedule = schedule_of(config)
    if schedule is None or schedule.schedule == "constant":
        return None
    since = step - (warmup_end(config) or 0)
    return since if since >= 0 else None
