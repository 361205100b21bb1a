"""Losses that repeat to the last digit: weights that do not move, or an evaluation that does not.

Nobody sees these: a loss that jumps about looks like noise, even if every
epoch gives the very same numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweeper.curves.curve import Curve
from sweeper.curves.finding import Finding, FindingKind
from sweeper.curves.series import Series

_MIN_REPEATS = 4
_MIN_EVALUATIONS = 3
# A coincidence of rounded numbers less likely than this is none.
_UNLIKELY = 1e-4
_MAX_PERIOD = 20_000
_MOVES = 0.01  # a training loss that varies by more than this fraction is being trained


def find_weights_not_updating(curve: Curve) -> Finding | None:
    """Training losses that repeat exactly with a period, such as an epoch, or stay one number.

    With the same batches in the same order only unchanged weights give the same
    losses; an unchanged single number cannot come from different batches at all.
    """
    series = Series.of(curve, "train_loss")
    if np.all(series.values == 0):  # a masked loss says nothing about weights
        return None
    period = _period(series.values)
    if period is None:
        return None
    num_repeats = len(series) - period
    what = (
        f"the training loss is {series.values[0]:g} at all {len(series)} points"
        if period == 1
        else f"{num_repeats} training losses in a row equal those {period} points before them to "
        "the last digit"
    )
    return Finding(
        kind=FindingKind.WEIGHTS_NOT_UPDATING,
        start_step=int(series.steps[0]),
        end_step=int(series.steps[-1]),
        severity=0.0,
        recovered=None,
        evidence=what,
        numbers={"period_points": period, "num_repeats": num_repeats},
    )


def _period(values: NDArray[np.float64]) -> int | None:
    """The shortest lag at which every value equals an earlier one; None where it may be chance."""
    num = len(values)
    if num < _MIN_REPEATS + 1:
        return None
    # Only lags at which the last value recurs can be periods.
    lags = (num - 1 - np.flatnonzero(values[:-1] == values[-1]))[::-1]
    for lag in lags[lags <= min(_MAX_PERIOD, num - _MIN_REPEATS)].tolist():
        if not np.array_equal(values[lag:], values[:-lag]):
            continue
        # Two values drawn from those seen are equal by chance about so often.
        by_chance = 1 / len(np.unique(values[:lag]))
        if lag == 1 or by_chance ** (num - lag) < _UNLIKELY:
            return int(lag)
    return None


def find_eval_not_tracking(curve: Curve) -> Finding | None:
    """Evaluations that give the same number each time while the training loss moves."""
    val, train = Series.of(curve, "val_loss"), Series.of(curve, "train_loss")
    if len(val) < _MIN_EVALUATIONS or len(train) < 2 or np.any(val.values != val.values[0]):
        return None
    during = train.between(float(val.steps[0]), float(val.steps[-1]))
    if len(during) < 2:
        return None
    spread = float(np.ptp(during.values))
    if spread <= _MOVES * abs(float(np.median(during.values))):
        return None
    return Finding(
        kind=FindingKind.EVAL_NOT_TRACKING,
        start_step=int(val.steps[0]),
        end_step=int(val.steps[-1]),
        severity=0.0,
        recovered=None,
        evidence=(
            f"all {len(val)} validation losses are {val.values[0]:g} while the training loss "
            f"moved between {during.values.min():.4f} and {during.values.max():.4f}"
        ),
        numbers={"num_evaluations": len(val), "train_range_nats": spread},
    )
