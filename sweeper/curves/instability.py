"""Spikes and divergence of a finished curve.

The detectors of `sweeper.curves.spike` judge a point by its past, as a live
pruner must. A finished curve also tells what came after: whether a jump stands
out from the noise on both sides of it, and whether the loss came back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sweeper.curves.climb import ClimbDetector
from sweeper.curves.curve import Curve
from sweeper.curves.finding import Finding, FindingKind
from sweeper.curves.noise import difference_sigma, rising_sigma
from sweeper.curves.series import Series
from sweeper.curves.spike import Excursion, SpikeDetector, SpikeSettings

_NEIGHBOURS = 16  # points on either side of a jump that tell the noise around it
_MIN_NEIGHBOURS = 4
# A single high point is mostly a hard batch; among many points the largest is larger by chance.
_SINGLE_SIGMAS = 12.0
_FEW_SINGLE_SIGMAS = 8.0
_MANY_POINTS = 48
_USUAL_RISES = 1.5  # and it must be higher by this factor than rises that are common around it
_STEADY_RISES = 3  # of a log too short for medians
# Whoever reads a finished log wants to know whether the loss came back, not most of the way.
_FINISHED = SpikeSettings(recovered_share=0.05)
_LASTING_POINTS = 3  # fewer above the level at the end may still come back
_BLOCKS = 160  # a climb is slow: medians of so many stretches show it


def find_instability(curve: Curve) -> list[Finding]:
    """Every spike of a finished curve, and the divergence that it may end in.

    A rise of the validation loss alone counts only if it came back: one that
    stays while training goes on is overfitting, or another validation set.
    """
    train, val = _Watched.of(curve, "train_loss"), _Watched.of(curve, "val_loss")
    seen = train.spikes()
    alone = [
        spike
        for spike in val.spikes()
        if (spike.recovered or not len(train.series))
        and not any(_may_be_one(spike, other) for other in seen)
    ]
    spikes = [*map(train.detector.finding, seen), *map(val.detector.finding, alone)]
    leading = train if len(train.series) else val
    divergence = _lasting_spike(curve, leading) or _climb(leading)
    return [*spikes, *([divergence] if divergence else [])]


@dataclass(frozen=True)
class _Watched:
    """One loss, and the detector that has seen all of it."""

    name: str
    series: Series
    detector: SpikeDetector

    @classmethod
    def of(cls, curve: Curve, name: str) -> Self:
        series, detector = Series.of(curve, name), SpikeDetector(_FINISHED)
        detector.extend(series)
        return cls(name, series, detector)

    def spikes(self) -> list[Excursion]:
        return [spike for spike in self.detector.excursions if _stands_out(spike, self.series)]


def _stands_out(spike: Excursion, series: Series) -> bool:
    """Whether a jump is more than what the points on either side of it do as well.

    A single high point among many is a hard batch: it takes more to be a spike
    than points that stay up, because it did no harm to the weights.
    """
    earlier = series.values[series.steps < spike.start_step][-_MANY_POINTS:]
    later = series.values[series.steps > spike.end_step][:_MANY_POINTS]
    before, after = earlier[-_NEIGHBOURS:], later[:_NEIGHBOURS]
    if len(before) + len(after) < _MIN_NEIGHBOURS:
        return True
    sigma = max(_noise(before), _noise(after))
    settings = _FINISHED
    if _num_raised(spike, series, before, sigma) >= _LASTING_POINTS:
        return spike.height > settings.sigmas * sigma
    least = max(settings.few_relative * abs(spike.peak - spike.height), settings.few_nats)
    sigmas = _SINGLE_SIGMAS if len(series) >= _MANY_POINTS else _FEW_SINGLE_SIGMAS
    # What one step in ten rises by: batches of two kinds jump without being noisy.
    usual = float(np.quantile(np.concatenate([np.diff(earlier), np.diff(later)]), 0.9))
    return spike.height > max(sigmas * sigma, _USUAL_RISES * usual, least)


def _num_raised(spike: Excursion, series: Series, before: NDArray[np.float64], sigma: float) -> int:
    """Points from the onset on that stay clearly above what was before it."""
    later = series.values[series.steps >= spike.start_step]
    level = float(np.median(before)) if len(before) else spike.level
    margin = max(_FINISHED.recovered_sigmas * sigma, 0.2 * spike.height)
    is_low = later <= level + margin
    return int(np.argmax(is_low)) if is_low.any() else len(later)


def _noise(values: NDArray[np.float64]) -> float:
    """Of few points: a falling loss is not noisy for its fall alone."""
    return min(difference_sigma(values), rising_sigma(values))


def _may_be_one(first: Excursion, second: Excursion) -> bool:
    """Whether two spikes lie in the same stretch, as coarsely as their series can tell.

    Each may have begun right after the value before it, and ended right before the one after.
    """
    return first.previous_step < _ended_before(second) and second.previous_step < _ended_before(
        first
    )


def _ended_before(spike: Excursion) -> float:
    return math.inf if spike.recovered_step is None else spike.recovered_step


def _lasting_spike(curve: Curve, watched: _Watched) -> Finding | None:
    """A spike that is still high at the end: above the start, at half its height, or broken."""
    name, series, detector = watched.name, watched.series, watched.detector
    spike = detector.open
    if spike is None or not _stands_out(spike, series):
        return None
    end = float(np.median(series.values[-_LASTING_POINTS:]))
    start = detector.starting_loss or 0.0
    base = spike.peak - spike.height
    broken = any(
        not math.isfinite(getattr(point, name))
        for point in curve
        if point.step >= spike.start_step and getattr(point, name) is not None
    )
    is_high = end > start or end - base > 0.5 * spike.height
    if not broken and not (is_high and spike.num_points >= _LASTING_POINTS):
        return None
    tail = ", then no number" if broken else ""
    return Finding(
        kind=FindingKind.DIVERGENCE,
        start_step=spike.start_step,
        end_step=int(series.steps[-1]),
        severity=max(end - base, 0.0),
        recovered=False,
        evidence=(
            f"{name.replace('_', ' ')} left {base:.4f} at step {spike.start_step} and stands"
            f" at {end:.4f} at the end{tail} (peak {spike.peak:.4f}, start {start:.4f})"
        ),
        numbers={
            "rise_nats": end - base,
            "best": base,
            "last": end,
            "peak": spike.peak,
            "starting_loss": start,
        },
    )


def _climb(watched: _Watched) -> Finding | None:
    """A slow rise: of medians over the best of them, or of a short log step by step."""
    series = watched.series
    detector = ClimbDetector()
    blocks = series.blocks(_BLOCKS)
    for step, value in zip(blocks.steps.tolist(), blocks.values.tolist(), strict=True):
        detector.update(step, step, value)
    return next(iter(detector.findings()), None) or _steady_rise(watched)


def _steady_rise(watched: _Watched) -> Finding | None:
    """The last values each above the one before, to above the start and far above the lowest."""
    values, steps = watched.series.values, watched.series.steps
    if not _STEADY_RISES < len(values) < _MANY_POINTS:
        return None
    lowest = len(values) - 1 - int(np.argmin(values[::-1]))
    best, last = float(values[lowest]), float(values[-1])
    settings = _FINISHED
    is_steady = len(values) - lowest > _STEADY_RISES and bool(np.all(np.diff(values[lowest:]) > 0))
    is_far = last - best > max(settings.few_relative * abs(best), settings.few_nats)
    if not (is_steady and is_far and last > values[0]):
        return None
    return Finding(
        kind=FindingKind.DIVERGENCE,
        start_step=int(steps[lowest + 1]),
        end_step=int(steps[-1]),
        severity=last - best,
        recovered=False,
        evidence=(
            f"{watched.name.replace('_', ' ')} rose at each of the last {len(values) - 1 - lowest} "
            f"points, from {best:.4f} at step {steps[lowest]} to {last:.4f} (start {values[0]:.4f})"
        ),
        numbers={"rise_nats": last - best, "best": best, "last": last},
    )
