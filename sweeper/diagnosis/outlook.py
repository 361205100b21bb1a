"""What a loss will be if nothing changes: an interval with its basis, or nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from sweeper.curves import FindingKind
from sweeper.curves.noise import theil_sen
from sweeper.curves.series import Series
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.excursion import (
    RISING_KINDS,
    SERIES_WORDS,
    excluded_steps,
    without_steps,
)
from sweeper.diagnosis.stuck import plateau_points

COVERAGE = 0.95
_LEAST_FOR_LEVEL = 3
_LEAST_FOR_TREND = 4
# An extrapolation beyond this factor of the last step is a guess.
_FARTHEST = 3.0
# A wider interval, as a fraction of its centre to either side, foretells nothing.
_WIDEST = 0.25


@dataclass(frozen=True)
class Outlook:
    """Where the loss of an unchanged run would lie.

    Attributes:
        series: `train_loss` or `val_loss`.
        low: Lower end of the interval, in nats.
        high: Upper end.
        basis: What it rests on, in words.
    """

    series: str
    low: float
    high: float
    basis: str


def predict_unchanged(case: Case, step: int) -> Outlook | None:
    """The interval in which 95 % of repetitions would end at a step; None without a basis."""
    stalls = case.of_kind(FindingKind.PLATEAU, FindingKind.NEVER_LEARNED)
    if stalls:
        outlook = _level(*plateau_points(case, stalls[0]))
    else:
        outlook = _trend(*_trend_points(case), step)
    if outlook is None:
        return None
    half, centre = (outlook.high - outlook.low) / 2, (outlook.high + outlook.low) / 2
    return outlook if half <= _WIDEST * abs(centre) else None


def _level(name: str, points: Series) -> Outlook | None:
    """Student's t prediction interval of one more value of the same kind."""
    values = points.values
    if len(values) < _LEAST_FOR_LEVEL:
        return None
    half = t_quantile(len(values) - 1) * float(values.std(ddof=1)) * math.sqrt(1 + 1 / len(values))
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
    )


def _trend_points(case: Case) -> tuple[str, Series]:
    """The later half of the healthy points before the first damage."""
    losses = case.losses
    spiked = excluded_steps(case.findings, losses)
    lasting = [f.start_step for f in case.of_kind(*RISING_KINDS) if not f.recovered]
    lasting += [f.start_step for f in case.of_kind(FindingKind.NON_FINITE, FindingKind.OVERFIT)]
    end = min(lasting) - 1 if lasting else math.inf
    for name in ("val_loss", "train_loss"):
        healthy = without_steps(losses[name].between(1, end), spiked)
        half = healthy.between(healthy.steps[-1] / 2, math.inf) if len(healthy) else healthy
        points = half if len(half) >= _LEAST_FOR_TREND else healthy
        if len(points) >= _LEAST_FOR_TREND:
            break
    return name, points


def _trend(name: str, points: Series, step: int) -> Outlook | None:
    """A power law through the later points, with the scatter about it.

    Loss against compute is a straight line in logarithms over a limited range
    (Kaplan et al. 2020, arXiv:2001.08361). The interval is a line's usual one
    for a new value, about Theil and Sen's robust line.
    """
    if len(points) < _LEAST_FOR_TREND or (points.values <= 0).any():
        return None
    if step > _FARTHEST * points.steps[-1]:
        return None
    x, y = np.log(points.steps.astype(np.float64)), np.log(points.values)
    slope, intercept = theil_sen(x, y)
    freedom = len(x) - 2
    sigma = math.sqrt(float(((y - slope * x - intercept) ** 2).sum()) / freedom)
    far = (math.log(step) - float(x.mean())) ** 2 / float(((x - x.mean()) ** 2).sum())
    half = t_quantile(freedom) * sigma * math.sqrt(1 + 1 / len(x) + far)
    centre = slope * math.log(step) + intercept
    if centre + half > math.log(1e6):
        return None
    return Outlook(
        series=name,
        low=math.exp(centre - half),
        high=math.exp(centre + half),
        basis=(
            f"power law through {len(x):,} {SERIES_WORDS[name]} losses at "
            f"{phrases.span(int(points.steps[0]), int(points.steps[-1]))}, 95 % prediction "
            f"interval from their scatter about it"
        ),
    )


def t_quantile(freedom: int, coverage: float = COVERAGE) -> float:
    """The half-width, in standard errors, that holds `coverage` of Student's t.

    Solved from the closed form for whole degrees of freedom (Abramowitz & Stegun 1964, 26.7.3 and
    26.7.4): SciPy would cost a diagnosis a third of its second.

    Args:
        freedom: Degrees of freedom, at least 1.
        coverage: Of the interval around 0, between 0 and 1.
    """
    if freedom > 200:  # the same to two decimals
        return NormalDist().inv_cdf((1 + coverage) / 2)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if _coverage(middle, freedom) < coverage:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)


def _coverage(angle: float, freedom: int) -> float:
    """Probability of |t| below `sqrt(freedom) * tan(angle)`."""
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = freedom % 2 == 1
    term = cosine if is_odd else 1.0
    total = 0.0 if is_odd and freedom == 1 else term
    for k in range(2 if is_odd else 1, freedom - 2, 2):
        term *= cosine * cosine * k / (k + 1)
        total += term
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total
