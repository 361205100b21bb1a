"""What a loss will be if nothing changes: an interval with its basis, or nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sweeper.curves import FindingKind
from sweeper.curves.noise import theil_sen
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.excursion import (
    RISING_KINDS,
    SERIES_WORDS,
    Series,
    excluded_steps,
    losses_of,
)
from sweeper.diagnosis.stuck import plateau_points

COVERAGE = 0.95
_LEAST_FOR_TREND = 4
# An extrapolation beyond this factor of the last step is a guess.
_FARTHEST = 3.0


@dataclass(frozen=True)
class Outlook:
    """Where the loss of an unchanged run would lie.

    Attributes:
        series: `train_loss` or `val_loss`.
        low: Lower end of the interval, in nats.
        high: Upper end.
        basis: What it rests on, in words.
        is_flat: Whether it is the level of a plateau; else a trend.
    """

    series: str
    low: float
    high: float
    basis: str
    is_flat: bool


def predict_unchanged(case: Case, step: int) -> Outlook | None:
    """The interval in which 95 % of repetitions would end at a step; None without a basis."""
    plateau = next(iter(case.of_kind(FindingKind.PLATEAU, FindingKind.NEVER_LEARNED)), None)
    if plateau is not None:
        name, points = plateau_points(case, plateau)
        return _level(name, points) if len(points) >= 3 else None
    name, points = _trend_points(case)
    if len(points) < _LEAST_FOR_TREND or step > _FARTHEST * points.steps[-1]:
        return None
    return _trend(name, points, step)


def _level(name: str, points: Series) -> Outlook:
    """Student's t prediction interval of one more value of the same kind."""
    values = points.values
    half = _quantile(len(values) - 1) * float(values.std(ddof=1)) * math.sqrt(1 + 1 / len(values))
    centre = float(values.mean())
    return Outlook(
        series=name,
        low=centre - half,
        high=centre + half,
        basis=(
            f"95 % prediction interval of the {len(values):,} usable {SERIES_WORDS[name]} losses "
            f"at {phrases.span(int(points.steps[0]), int(points.steps[-1]))} (Student's t, "
            f"{len(values) - 1:,} degrees of freedom)"
        ),
        is_flat=True,
    )


def _trend_points(case: Case) -> tuple[str, Series]:
    """The later half of the healthy points before the first damage."""
    losses = losses_of(case.curve)
    spiked = excluded_steps(case.findings, losses)
    lasting = [f.start_step for f in case.of_kind(*RISING_KINDS) if not f.recovered]
    lasting += [f.start_step for f in case.of_kind(FindingKind.NON_FINITE, FindingKind.OVERFIT)]
    end = min(lasting) - 1 if lasting else math.inf
    for name in ("val_loss", "train_loss"):
        healthy = losses[name].between(1, end).without(spiked)
        half = healthy.between(healthy.steps[-1] / 2, math.inf) if len(healthy) else healthy
        points = half if len(half) >= _LEAST_FOR_TREND else healthy
        if len(points) >= _LEAST_FOR_TREND:
            break
    return name, points


def _trend(name: str, points: Series, step: int) -> Outlook | None:
    """A power law through the later points, with the scatter about it.

    Loss against compute is a straight line in logarithms over a limited range
    (Kaplan et al. 2020, arXiv:2001.08361).
    """
    if (points.values <= 0).any():
        return None
    x, y = np.log(points.steps.astype(np.float64)), np.log(points.values)
    slope, intercept = theil_sen(x, y)
    residuals = y - (slope * x + intercept)
    freedom = len(x) - 2
    sigma = math.sqrt(float((residuals**2).sum()) / freedom)
    spread = float(((x - x.mean()) ** 2).sum())
    far = (math.log(step) - float(x.mean())) ** 2 / spread if spread else 0.0
    half = _quantile(freedom) * sigma * math.sqrt(1 + 1 / len(x) + far)
    centre = slope * math.log(step) + intercept
    return Outlook(
        series=name,
        low=math.exp(centre - half),
        high=math.exp(centre + half),
        basis=(
            f"power law through {len(x):,} {SERIES_WORDS[name]} losses at "
            f"{phrases.span(int(points.steps[0]), int(points.steps[-1]))}, 95 % prediction "
            f"interval from their scatter about it"
        ),
        is_flat=False,
    )


def _quantile(freedom: int) -> float:
    """Student's t at the upper end of the coverage."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + COVERAGE) / 2))
