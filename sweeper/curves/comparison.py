"""Two runs of one recipe: are they the same, point by point?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from sweeper.curves.curve import Curve

_COMPARED = ("tokens", "learning_rate", "train_loss", "val_loss", "grad_norm")
# What rounding alone does to a fine-tuning of stable recipes over some hundred
# steps, when sums are taken in another order (other threads, other hardware).
DEFAULT_TOLERANCE_NATS = 1e-3


class Sameness(StrEnum):
    """How alike two curves are."""

    BIT_EXACT = "bit-exact"
    WITHIN_TOLERANCE = "within tolerance"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Comparison:
    """The outcome, with the numbers that it rests on.

    Attributes:
        sameness: The verdict.
        num_points: Points compared.
        largest_difference: Of train and validation loss, in nats; infinite
            where a point is missing or one of two losses is no number.
        first_difference: The first point and quantity that are not bit-equal,
            in words; empty where all are.
        tolerance_nats: What `largest_difference` was held against.
    """

    sameness: Sameness
    num_points: int
    largest_difference: float
    first_difference: str
    tolerance_nats: float


def compare_curves(
    expected: Curve, found: Curve, tolerance_nats: float = DEFAULT_TOLERANCE_NATS
) -> Comparison:
    """Compare every point of two curves; times are not part of a result.

    Args:
        expected: The recorded run.
        found: The new run.
        tolerance_nats: Largest difference of any train or validation loss that
            still counts as the same result.
    """
    first, largest = "", 0.0
    if len(expected) != len(found):
        first, largest = f"{len(expected)} points were recorded, {len(found)} came now", math.inf
    for one, other in zip(expected, found, strict=False):
        for name in _COMPARED:
            a, b = getattr(one, name), getattr(other, name)
            if _same_bits(a, b):
                continue
            first = (
                first
                or f"step {one.step}: {name.replace('_', ' ')} {a!r} was recorded, {b!r} came now"
            )
            largest = max(largest, _difference(name, a, b))
    if not first:
        sameness = Sameness.BIT_EXACT
    else:
        sameness = Sameness.WITHIN_TOLERANCE if largest <= tolerance_nats else Sameness.FAIL
    num_points = min(len(expected), len(found))
    return Comparison(sameness, num_points, largest, first, tolerance_nats)


def _same_bits(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return a == b or (math.isnan(a) and math.isnan(b))


def _difference(name: str, a: float | None, b: float | None) -> float:
    """In nats for losses; tokens and rate must agree; gradient norms are only shown."""
    if name == "grad_norm":
        return 0.0
    if a is None or b is None or name in {"tokens", "learning_rate"}:
        return math.inf
    difference = abs(a - b)
    return difference if math.isfinite(difference) else math.inf
