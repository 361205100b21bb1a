"""Losses and gradients that are no numbers any more."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sweeper.curves.curve import Curve, Point
from sweeper.curves.finding import Finding, FindingKind

_LOSSES = ("train_loss", "val_loss")
_WATCHED = (*_LOSSES, "grad_norm")
# So many broken gradients in a row are no longer the search for a loss scale.
_LASTING = 3
# A loss that is learned by heart comes down to 0.0000; one that falls there from above this was
# no number, and was logged as zero.
_ABRUPT_NATS = 0.1


def find_non_finite(point: Point) -> Finding | None:
    """NaN or infinity in a point's losses or gradient norm.

    One such gradient is enough: the optimizer writes it into every weight that
    it trains, and no later step can bring them back.
    """
    name = _broken(point, _WATCHED)
    if name is None:
        return None
    return _finding([point], name, recovered=False)


def find_lasting_non_finite(curve: Curve) -> Finding | None:
    """The same on a finished curve, which shows whether it mattered.

    A loss scaler in half precision skips a step whose gradient overflows. So a
    broken gradient norm counts only if the losses after it are broken or zero,
    if it is the last word, or if it lasts. A broken loss always counts.
    """
    broken = [point for point in curve if _broken(point, _LOSSES)]
    name = _broken(broken[0], _LOSSES) if broken else None
    if name is None:
        broken = _lasting_gradients(curve.points)
        name = "grad_norm"
    if not broken:
        return _masked(curve)
    after = [point for point in curve if point.step > broken[-1].step]
    return _finding(broken, name, recovered=any(map(_is_alive, after)))


def _masked(curve: Curve) -> Finding | None:
    """A training loss of exactly zero to the end: some trainers log NaN so."""
    points = [point for point in curve if point.train_loss is not None]
    zeros = len(points) - next(
        (i for i in range(len(points), 0, -1) if points[i - 1].train_loss != 0), 0
    )
    before = points[-zeros - 1].train_loss if zeros < len(points) else None
    if zeros < _LASTING or (before is not None and before < _ABRUPT_NATS):
        return None
    return Finding(
        kind=FindingKind.NON_FINITE,
        start_step=points[-zeros].step,
        end_step=points[-1].step,
        severity=0.0,
        recovered=False,
        evidence=(
            f"train loss is exactly 0 from step {points[-zeros].step} on ({zeros} points"
            f"{f', {before:.4f} before' if before is not None else ''}): no loss of text is, "
            "but NaN is logged so"
        ),
        numbers={"num_points": zeros},
    )


def _lasting_gradients(points: Sequence[Point]) -> list[Point]:
    streak: list[Point] = []
    for point in points:
        if point.grad_norm is None:
            continue
        if not math.isfinite(point.grad_norm):
            streak.append(point)
        elif len(streak) >= _LASTING:
            return streak
        else:
            streak = []
    is_fatal = streak and not any(_is_alive(p) for p in points if p.step > streak[0].step)
    return streak if is_fatal or len(streak) >= _LASTING else []


def _is_alive(point: Point) -> bool:
    """Whether a loss after a broken number is one that only working weights give."""
    losses = [point.train_loss, point.val_loss]
    return any(loss is not None and math.isfinite(loss) and loss != 0 for loss in losses)


def _broken(point: Point, names: Sequence[str]) -> str | None:
    for name in names:
        value = getattr(point, name)
        if value is not None and not math.isfinite(value):
            return name
    return None


def _finding(broken: Sequence[Point], name: str, *, recovered: bool) -> Finding:
    value = getattr(broken[0], name)
    more = f" and at {len(broken) - 1} later points" if len(broken) > 1 else ""
    return Finding(
        kind=FindingKind.NON_FINITE,
        start_step=broken[0].step,
        end_step=broken[-1].step,
        severity=0.0,
        recovered=recovered,
        evidence=f"{name.replace('_', ' ')} is {value} at step {broken[0].step}{more}",
        numbers={"num_points": len(broken)},
    )
