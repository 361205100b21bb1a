"""Where the spike begins that is examined, and how high losses come over what was before it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median

from sweeper.curves import Curve
from sweeper.curves.climb import ClimbDetector, ClimbSettings
from sweeper.curves.non_finite import find_non_finite
from sweeper.curves.spike import LEVEL_POINTS, Excursion, SpikeDetector, SpikeSettings
from sweeper.errors import UsageError


def find_onset(curve: Curve, sigmas: float = SpikeSettings().sigmas) -> Excursion:
    """The spike to examine: the one that the curve ends in, else the highest.

    A curve that breaks off at a number that is none is a spike there, of no height that can be
    told. One that ends in a climb, no step of which jumps, is examined from the first step on
    after which no loss was back near its best.

    Args:
        curve: Of the trial.
        sigmas: As the study's rule has it.

    Raises:
        UsageError: The training loss shows none.
    """
    detector = SpikeDetector(SpikeSettings(sigmas=sigmas))
    for point in curve:
        if point.train_loss is not None:
            detector.update(point.step, point.tokens, point.train_loss)
    if detector.open is not None:
        return detector.open
    highest = max(detector.excursions, key=lambda spike: spike.height, default=None)
    found = _break_of(curve) or _climb_of(curve) or highest
    if found is None:
        raise UsageError(
            "its training loss shows no spike to examine (one of the validation loss alone has no "
            "step that could be taken again)"
        )
    return found


def _break_of(curve: Curve) -> Excursion | None:
    """The step that a curve breaks off at, as a spike; None where it does not, or at its first."""
    if not curve.points or find_non_finite(curve.points[-1]) is None:
        return None
    *earlier, last = curve.points
    before = [(p.step, p.train_loss) for p in earlier if p.train_loss is not None]
    if not before:
        return None
    settings = SpikeSettings()
    level = median(loss for _, loss in before[-LEVEL_POINTS:])
    return Excursion(
        start_step=last.step,
        start_tokens=last.tokens,
        previous_step=before[-1][0],
        previous=before[-1][1],
        level=level,
        threshold=max(settings.few_nats, settings.few_relative * abs(level)),
        sigma=0.0,
        peak=math.inf,
        peak_step=last.step,
        end_step=last.step,
        end_tokens=last.tokens,
        current=math.inf,
    )


def _climb_of(curve: Curve) -> Excursion | None:
    """The climb that the curve ends in, as if it were a spike; None where it ends in none."""
    settings = ClimbSettings()
    detector = ClimbDetector(settings)
    losses = [(p, p.train_loss) for p in curve if p.train_loss is not None]
    for point, loss in losses:
        detector.update(point.step, point.tokens, loss)
    level = next((climb.numbers["best"] for climb in detector.findings()), None)
    if level is None:
        return None
    threshold = max(settings.nats, settings.relative * abs(level))
    calm = [n for n, (_, loss) in enumerate(losses) if loss <= level + threshold]
    first = calm[-1] + 1 if calm else 1
    if not 0 < first < len(losses):
        return None
    (before, previous), (onset, _), (last, current) = losses[first - 1], losses[first], losses[-1]
    peak_point, peak = max(losses[first:], key=lambda entry: entry[1])
    return Excursion(
        start_step=onset.step,
        start_tokens=onset.tokens,
        previous_step=before.step,
        previous=previous,
        level=level,
        threshold=threshold,
        sigma=0.0,
        peak=peak,
        peak_step=peak_point.step,
        end_step=last.step,
        end_tokens=last.tokens,
        current=current,
        num_points=len(losses) - first,
    )


def height_over(spike: Excursion, losses: Iterable[float | None]) -> float:
    """How high losses come over the level that a spike was judged by, by its own threshold.

    The same yardstick for all experiments: by a detector of its own each would be held against the
    noise of its own few points.

    Returns:
        In nats; 0 where none passes the threshold, infinite where one is no number.
    """
    values = [loss for loss in losses if loss is not None]
    if not all(map(math.isfinite, values)):
        return math.inf
    height = max(values, default=spike.level) - spike.level
    return height if height > spike.threshold else 0.0
