"""What a log's columns show of a run's set-up: the peak of its rate, its schedule, its length."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sweeper.curves import Curve
from sweeper.diagnosis.case import RunConfig
from sweeper.study import Hyperparameters
from sweeper.study.schedule import learning_rate_at

# A shape is named only if every logged rate is this near to it, as a share of the peak.
_RATE_TOLERANCE = 0.01
_ROUNDING = 1e-6
_EARLY = 0.02
_MIN_POINTS = 5
_SMALLEST_FALL = 0.05


def logged_facts(curve: Curve, config: RunConfig) -> Mapping[str, object]:
    """Learning rate, schedule, warmup and total steps, as far as the columns make them plain."""
    facts = _length(curve, config)
    total = config.number("total_steps") or facts.get("total_steps")
    steps, rates = _rates(curve)
    if steps.size < 2 or rates.max() <= 0:
        return facts
    return facts | _rate_facts(steps, rates, total)


def _length(curve: Curve, config: RunConfig) -> dict[str, int]:
    """Total steps from the epochs that were planned and those that a step took."""
    num_epochs = config.number("num_epochs")
    last = next((p for p in reversed(curve.points) if p.epoch and p.step), None)
    if num_epochs is None or last is None or last.epoch is None or not math.isfinite(last.epoch):
        return {}
    return {"total_steps": max(round(num_epochs * last.step / last.epoch), last.step)}


def _rates(curve: Curve) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    pairs = [
        (point.step, point.learning_rate)
        for point in curve
        if point.learning_rate is not None and math.isfinite(point.learning_rate)
    ]
    return (
        np.array([step for step, _ in pairs], dtype=np.int64),
        np.array([rate for _, rate in pairs], dtype=np.float64),
    )


def _rate_facts(
    steps: NDArray[np.int64], rates: NDArray[np.float64], total: float | None
) -> dict[str, object]:
    """Nothing where the peak is not in sight: the rate still rises when the log ends, or has begun
    to fall before it starts.
    """
    top = int(np.argmax(rates))
    is_constant = _is_constant(rates)
    starts_late = steps[0] > max(1, _EARLY * steps[-1])
    if top == rates.size - 1 or (top == 0 and starts_late and not is_constant):
        return {}
    facts: dict[str, object] = {"learning_rate": float(rates[top])}
    warmup = _warmup(steps[: top + 1], rates[: top + 1])
    if warmup is not None:
        facts["warmup"] = warmup
    shape = _shape(steps[top:], rates[top:], total)
    return facts | ({"schedule": shape} if shape else {})


def _warmup(steps: NDArray[np.int64], rates: NDArray[np.float64]) -> int | None:
    """Where the line through the rising rates meets the peak."""
    if steps.size == 1:
        return 0 if steps[0] <= 1 else None
    rising_steps, rising = steps[:-1], rates[:-1]
    if rising.size < 2 or (np.diff(rising) <= 0).any():
        return None
    slope = (rising[-1] - rising[0]) / (rising_steps[-1] - rising_steps[0])
    meets = rising_steps[0] + (rates[-1] - rising[0]) / slope
    return round(float(np.clip(meets, rising_steps[-1], steps[-1])))


def _shape(steps: NDArray[np.int64], rates: NDArray[np.float64], total: float | None) -> str | None:
    """The schedule whose rates these are, from the peak on; None where none fits, or several do."""
    peak = rates[0]
    if _is_constant(rates):
        return "constant"
    if steps.size < _MIN_POINTS or np.ptp(rates) < _SMALLEST_FALL * peak:
        return None
    if total is not None and total > steps[0]:
        fitting = [s for s in ("linear", "cosine") if _fits(s, steps, rates, int(total))]
        return fitting[0] if len(fitting) == 1 else None
    line = np.polyval(np.polyfit(steps - steps[0], rates, 1), steps - steps[0])
    is_straight = bool(np.abs(rates - line).max() <= _RATE_TOLERANCE * np.ptp(rates))
    return "linear" if is_straight else None


def _is_constant(rates: NDArray[np.float64]) -> bool:
    """Up to rounding: a slow schedule changes little between two points, but it does change."""
    return bool(np.ptp(rates) <= _ROUNDING * rates.max())


def _fits(schedule: str, steps: NDArray[np.int64], rates: NDArray[np.float64], total: int) -> bool:
    try:
        recipe = Hyperparameters.model_validate(
            {
                "learning_rate": float(rates[0]),
                "schedule": schedule,
                "warmup": int(steps[0]),
                "floor_factor": float(max(rates[-1], 0.0) / rates[0]) if steps[-1] >= total else 0,
            }
        )
    except ValidationError:  # a rate beyond any that a schedule may have
        return False
    expected = np.array([learning_rate_at(int(step), total, recipe) for step in steps])
    return bool(np.abs(rates - expected).max() <= _RATE_TOLERANCE * rates[0])
