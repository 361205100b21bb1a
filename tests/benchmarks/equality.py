"""Whether two arms found the same: final losses trial by trial, and the best trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FP32_TOLERANCE = 1e-3
BF16_TOLERANCE = 5e-3

Losses = Sequence[float | None]


@dataclass(frozen=True)
class Difference:
    """One trial that ended elsewhere than B0's.

    Attributes:
        number: Of the trial.
        reference: B0's final loss.
        other: The other arm's.
        reruns: B0's, with its sums in other orders.
        is_unstable: Whether B0 itself does not come back to its own loss within the tolerance.
        is_within: Whether the other arm is no farther from B0's runs than they are from each other.
    """

    number: int
    reference: float | None
    other: float | None
    reruns: tuple[float | None, ...]
    is_unstable: bool
    is_within: bool


def compare(reference: Losses, other: Losses, tolerance: float = FP32_TOLERANCE) -> list[int]:
    """The trials whose final losses differ by more than the tolerance, or of which one has none."""
    return [
        number
        for number, (a, b) in enumerate(zip(reference, other, strict=True))
        if not _alike(a, b, tolerance)
    ]


def _alike(a: float | None, b: float | None, tolerance: float) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= tolerance


def best_trial(losses: Losses) -> int | None:
    """The number of the lowest loss, the earliest of equals."""
    found = [(loss, number) for number, loss in enumerate(losses) if loss is not None]
    return min(found)[1] if found else None


def differences(
    reference: Losses, other: Losses, reruns: Mapping[str, Losses], tolerance: float
) -> list[Difference]:
    """Every trial that differs, judged by B0's own reruns, which are by the trial's number."""
    return [
        _judge(
            number,
            reference[number],
            other[number],
            tuple(reruns.get(str(number), ())),
            tolerance,
        )
        for number in compare(reference, other, tolerance)
    ]


def _judge(
    number: int,
    reference: float | None,
    other: float | None,
    reruns: tuple[float | None, ...],
    tolerance: float,
) -> Difference:
    own = [reference, *reruns]
    known = [loss for loss in own if loss is not None]
    if len(known) < len(own):  # it sometimes ends in no number at all: anything is within that
        return Difference(number, reference, other, reruns, True, True)
    spread = max(known) - min(known)
    within = other is not None and min(known) - spread <= other <= max(known) + spread
    return Difference(number, reference, other, reruns, spread > tolerance, within)
