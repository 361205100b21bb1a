"""Overfitting: the validation loss turns up while the training loss goes on falling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweeper.curves.curve import Curve
from sweeper.curves.finding import Finding, FindingKind
from sweeper.curves.noise import difference_sigma
from sweeper.curves.series import Series


@dataclass(frozen=True)
class OverfitSettings:
    """When a rise of the validation loss counts as overfitting.

    Attributes:
        loss_percent: Generalisation loss, the rise over the best evaluation in
            per cent, over two evaluations or more (GL_5 of Prechelt 1998,
            doi:10.1007/3-540-49430-8_3).
        steady_percent: The same, after three evaluations or more that all stay
            above the best.
        once_percent: The same, where only one evaluation came after the best.
        wide_percent: The same, after one evaluation, where the gap is wide.
        wide_gap: The gap is wide where training is below this fraction of
            validation: then a model knows its training text by heart.
        sigmas: A rise within so many standard deviations of the evaluations is none.
    """

    loss_percent: float = 5.0
    steady_percent: float = 2.0
    once_percent: float = 10.0
    wide_percent: float = 3.0
    wide_gap: float = 0.5
    sigmas: float = 3.0


def find_overfit(curve: Curve, settings: OverfitSettings | None = None) -> Finding | None:
    """Whether validation turned up while training went on falling; needs both losses."""
    settings = settings or OverfitSettings()
    val, train = Series.of(curve, "val_loss"), Series.of(curve, "train_loss")
    if len(val) < 2 or len(train) < 2:
        return None
    best = int(np.argmin(val.values))
    num_after = len(val) - 1 - best
    # The turn lasts: the end is judged by its last evaluations, not by the worst of them.
    last = float(np.median(val.values[-min(3, num_after) :])) if num_after else val.values[best]
    rise = last - float(val.values[best])
    percent = 100 * rise / abs(float(val.values[best])) if val.values[best] else 0.0
    train_then, train_now = _train_at(train, val, best), _train_at(train, val, len(val) - 1)
    if not train_now < train_then or rise <= settings.sigmas * _val_noise(val):
        return None
    is_wide = train_now < settings.wide_gap * last
    limits = (settings.once_percent, settings.loss_percent, settings.steady_percent)
    is_turned = percent > limits[min(num_after, 3) - 1]
    if not is_turned and not (is_wide and num_after and percent > settings.wide_percent):
        return None
    return Finding(
        kind=FindingKind.OVERFIT,
        start_step=int(val.steps[best]),
        end_step=int(val.steps[-1]),
        severity=rise,
        recovered=None,
        evidence=(
            f"validation rose from {val.values[best]:.4f} at step {val.steps[best]} to "
            f"{last:.4f} ({percent:+.1f} %) over {num_after} evaluation"
            f"{'s' if num_after > 1 else ''}, training fell from {train_then:.4f} to "
            f"{train_now:.4f}"
        ),
        numbers={
            "best_val": float(val.values[best]),
            "best_step": int(val.steps[best]),
            "last_val": last,
            "rise_nats": rise,
            "gl_percent": percent,
            "train_at_best": train_then,
            "train_at_end": train_now,
        },
    )


def _train_at(train: Series, val: Series, index: int) -> float:
    """The training loss around an evaluation: the median since the one before, or the nearest."""
    since = val.steps[index - 1] + 1 if index else train.steps[0]
    stretch = train.between(float(since), float(val.steps[index]))
    if len(stretch):
        return float(np.median(stretch.values))
    nearest = int(np.argmin(np.abs(train.steps - val.steps[index])))
    return float(train.values[nearest])


def _val_noise(val: Series) -> float:
    """Of the evaluations; the turn itself is a change of slope, not noise."""
    return difference_sigma(np.diff(val.values)) / np.sqrt(3) if len(val) > 6 else 0.0
