"""The largest gradient norms of a curve, by stretches of steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweeper.curves.curve import Curve


@dataclass(frozen=True)
class GradNormMaximum:
    """The largest gradient norm before clipping in a stretch of steps.

    Attributes:
        start_step: First step of the stretch.
        end_step: Last step of it that was recorded.
        maximum: Largest finite norm; None where every one was NaN or infinite.
        num_non_finite: How many norms were left out because they were NaN or infinite.
    """

    start_step: int
    end_step: int
    maximum: float | None
    num_non_finite: int


def grad_norm_maxima(curve: Curve, every_steps: int = 100) -> list[GradNormMaximum]:
    """The largest gradient norm in each stretch of `every_steps` steps.

    Stretches begin at step 1, 101, 201, ...; step 0 (before training) counts to the first.
    A stretch without a recorded norm is left out.

    Raises:
        ValueError: `every_steps` is not positive.
    """
    if every_steps < 1:
        raise ValueError(f"every_steps is {every_steps}; it must be 1 or more")
    stretches: dict[int, list[tuple[int, float]]] = {}
    for point in curve:
        if point.grad_norm is not None:
            index = max(point.step - 1, 0) // every_steps
            stretches.setdefault(index, []).append((point.step, point.grad_norm))
    return [_maximum(index * every_steps + 1, norms) for index, norms in sorted(stretches.items())]


def _maximum(start_step: int, norms: list[tuple[int, float]]) -> GradNormMaximum:
    finite = [norm for _, norm in norms if math.isfinite(norm)]
    return GradNormMaximum(
        start_step=start_step,
        end_step=max(step for step, _ in norms),
        maximum=max(finite, default=None),
        num_non_finite=len(norms) - len(finite),
    )
