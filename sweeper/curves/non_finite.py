"""Losses and gradients that are no numbers any more."""

from __future__ import annotations

import math

from sweeper.curves.curve import Point
from sweeper.curves.finding import Finding, FindingKind

_WATCHED = ("train_loss", "val_loss", "grad_norm")


def find_non_finite(point: Point) -> Finding | None:
    """NaN or infinity in a point's losses or gradient norm.

    One such gradient is enough: the optimizer writes it into every weight that
    it trains, and no later step can bring them back.
    """
    for name in _WATCHED:
        value = getattr(point, name)
        if value is not None and not math.isfinite(value):
            return Finding(
                kind=FindingKind.NON_FINITE,
                start_step=point.step,
                end_step=point.step,
                severity=0.0,
                recovered=False,
                evidence=f"{name.replace('_', ' ')} is {value} at step {point.step}",
            )
    return None
