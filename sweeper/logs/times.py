"""Times of a log: which unit, per step or cumulative, and what one step took."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from sweeper.logs.names import CUMULATIVE, PER_STEP, RUNNING_MEAN
from sweeper.logs.values import Cell

Floats = NDArray[np.float64]

SECONDS_PER = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0}
RATES = ("steps/s", "steps/min", "tokens/s", "samples/s")
UNITS = (*SECONDS_PER, *RATES, "clock")

_LONGEST_STEP_S = 30.0  # a longer one is taken for milliseconds where the log names no unit
_CLOCK_S = 1e9  # the year 2001; no run takes that long
_EPOCH_MS = 1e11  # clock times above it are milliseconds since 1970


def guess_unit(values: Floats, steps: Floats, reading: str) -> str:
    """Seconds, or milliseconds where so many seconds a step are not plausible."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "s"
    typical = float(np.median(finite))
    if reading == CUMULATIVE:
        span = float(steps.max() - steps.min())
        typical = float(finite.max() - finite.min()) / span if span > 0 else 0.0
    return "ms" if typical > _LONGEST_STEP_S else "s"


def guess_reading(values: Floats, steps: Floats) -> tuple[str, str]:
    """Whether times add up, and why: they never fall and grow in step with the steps."""
    usable = np.isfinite(values)
    values, steps = values[usable], steps[usable]
    forward = np.diff(steps) > 0
    grows = np.diff(values)[forward]
    if len(grows) < 2:
        return PER_STEP, "too few values to tell"
    if (grows > 0).all() and values[-1] - values[0] > 0.5 * values.max():
        return CUMULATIVE, "never falls and grows with the steps"
    return PER_STEP, "does not grow with the steps"


def clock_seconds(cells: Sequence[Cell]) -> Floats:
    """Clock times, as numbers or as ISO 8601, in seconds since the first.

    Raises:
        ValueError: A cell is neither; its text.
    """
    values = np.array([_instant(cell) for cell in cells], dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return values
    if np.median(finite) > _EPOCH_MS:
        values, finite = values / 1000, finite / 1000
    return np.asarray(values - finite[0], dtype=np.float64)


def is_clock(cells: Sequence[Cell]) -> bool:
    """Whether these are dates, or seconds since 1970, by the first of them."""
    first = next((cell for cell in cells if cell not in (None, "")), None)
    try:
        return first is not None and _instant(first) > _CLOCK_S
    except ValueError:
        return False


def counted_on(totals: Floats, steps: Floats) -> Floats:
    """Totals that begin anew while the steps go on, such as those of a bar for each epoch."""
    rows = np.flatnonzero(np.isfinite(totals))
    falls = (np.diff(totals[rows]) < 0) & (np.diff(steps[rows]) > 0)
    result = totals.copy()
    result[rows[1:]] += np.cumsum(np.where(falls, totals[rows[:-1]], 0.0))
    return result


def _instant(cell: Cell) -> float:
    if cell is None or cell == "":
        return np.nan
    try:
        return float(cell)
    except ValueError:
        text = str(cell).strip().replace(",", ".").replace("Z", "+00:00")
        return datetime.fromisoformat(text).timestamp()


def step_seconds_of(
    values: Floats, unit: str, reading: str, steps: Floats, tokens: Floats | None
) -> Floats:
    """Seconds of one step over the interval that ends at each row; NaN where unknown.

    Args:
        values: As logged; NaN where nothing was.
        unit: One of `UNITS`.
        reading: Per step, cumulative, or a running mean (which is undone here).
        steps: Of each row.
        tokens: Tokens seen at each row, for a rate in tokens; or samples for one in samples.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if unit in SECONDS_PER:
            seconds = values * SECONDS_PER[unit]
            if reading == CUMULATIVE:
                return differences(seconds, steps)
            if reading == RUNNING_MEAN:
                return differences(seconds * steps, steps)
            return seconds
        if unit in ("tokens/s", "samples/s"):
            each = np.full_like(values, np.nan) if tokens is None else differences(tokens, steps)
            return _positive(each / values)
        per_second = values / 60 if unit == "steps/min" else values
        return _positive(1 / per_second)


def differences(totals: Floats, steps: Floats) -> Floats:
    """What each step added to a total, averaged since the row before that has one."""
    result = np.full_like(totals, np.nan)
    rows = np.flatnonzero(np.isfinite(totals))
    if len(rows) > 1:
        gaps = np.diff(steps[rows])
        with np.errstate(divide="ignore", invalid="ignore"):
            result[rows[1:]] = _positive(np.where(gaps > 0, np.diff(totals[rows]) / gaps, np.nan))
    return result


def _positive(values: Floats) -> Floats:
    """A step that took no time, or less, was not measured: a clock that was set anew."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)
