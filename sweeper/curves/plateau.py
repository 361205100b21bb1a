"""Plateaus: a loss that has stopped falling, beyond what its noise can hide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweeper.curves.curve import Point
from sweeper.curves.finding import Finding, FindingKind
from sweeper.curves.noise import residual_sigma, theil_sen


@dataclass(frozen=True)
class PlateauSettings:
    """When a stretch of a curve counts as flat.

    Attributes:
        relative: A gain over the stretch below this fraction of the loss does
            not matter in practice.
        sigmas: A gain below this many robust standard deviations of the
            stretch's own scatter cannot be told from none.
        min_points: Fewer points decide nothing.
    """

    relative: float = 0.005
    sigmas: float = 2.0
    min_points: int = 3


def find_plateau(
    points: Sequence[Point],
    *,
    since_tokens: int,
    series: str = "val_loss",
    settings: PlateauSettings | None = None,
) -> Finding | None:
    """Whether a curve is flat from `since_tokens` to its end.

    The gain is the Theil-Sen slope times the stretch's length, so that one
    spike inside it neither hides nor makes a plateau. A rising curve has no
    gain, and is flat in this sense: it is not getting better.

    Args:
        points: A curve's points in order.
        since_tokens: Where the stretch begins; keep warmup out of it.
        series: The quantity to judge, in nats.
        settings: Thresholds.

    Returns:
        The plateau, `severity` being the gain in nats that it still makes; None
        where the curve falls, or where too few finite points can tell.
    """
    settings = settings or PlateauSettings()
    stretch = [
        point
        for point in points
        if point.tokens >= since_tokens
        and getattr(point, series) is not None
        and np.isfinite(getattr(point, series))
    ]
    if len(stretch) < settings.min_points or stretch[0].tokens == stretch[-1].tokens:
        return None
    x = np.array([point.tokens for point in stretch], dtype=np.float64)
    y = np.array([getattr(point, series) for point in stretch], dtype=np.float64)
    slope, _ = theil_sen(x, y)
    gain = float(slope * (x[0] - x[-1])) + 0.0  # no "-0.0000" for a flat one
    sigma = residual_sigma(x, y)
    matters = max(settings.relative * abs(float(np.median(y))), settings.sigmas * sigma)
    if gain >= matters:
        return None
    return Finding(
        kind=FindingKind.PLATEAU,
        start_step=stretch[0].step,
        end_step=stretch[-1].step,
        severity=max(gain, 0.0),
        recovered=None,
        evidence=(
            f"{series.replace('_', ' ')} gained {gain:.4f} nats over {int(x[-1] - x[0]):,} tokens "
            f"({y[0]:.4f} to {y[-1]:.4f}, noise {sigma:.4f}); {matters:.4f} would matter"
        ),
    )
