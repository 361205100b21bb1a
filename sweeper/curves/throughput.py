"""Throughput: stretches of constant step time, and drops between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sweeper.curves.curve import Curve
from sweeper.curves.finding import Finding, FindingKind
from sweeper.curves.noise import difference_sigma
from sweeper.curves.series import Series

_MAX_POINTS = 2000  # longer logs are judged by the medians of as many stretches
_MAX_SEGMENTS = 8
_FEW_POINTS = 20  # of fewer points each may be a stretch of the run


@dataclass(frozen=True)
class ThroughputSettings:
    """When the step time counts as having changed.

    Attributes:
        ratio: Slower by this factor is a drop.
        share: A drop that ends again counts if it lasted this share of the run.
        min_points: Points of a stretch, so that a pause to evaluate or save is none.
        long_interval_steps: One point is enough where it stands for so many steps.
        sigmas: Robust standard deviations between two stretches.
    """

    ratio: float = 1.25
    share: float = 0.25
    min_points: int = 4
    long_interval_steps: int = 50
    sigmas: float = 5.0


@dataclass(frozen=True)
class SpeedStretch:
    """A stretch of constant speed.

    Attributes:
        start_step: Step after which it begins.
        end_step: Its last step.
        step_seconds: Median seconds of a step.
        num_points: Points that it rests on.
    """

    start_step: int
    end_step: int
    step_seconds: float
    num_points: int


def find_speed_stretches(
    curve: Curve, settings: ThroughputSettings | None = None
) -> tuple[SpeedStretch, ...]:
    """Cut the step times where they change for good.

    Binary segmentation of the log step time by least squares (Scott & Knott
    1974, doi:10.2307/2529204), after running medians, so that single slow points
    (evaluation, saving, compilation of the first step) do not count.
    """
    settings = settings or ThroughputSettings()
    series = Series.of(curve, "step_seconds")
    series = series.where(series.values > 0).blocks(_MAX_POINTS)
    if not len(series):
        return ()
    cuts = [0, *_cuts(series, settings), len(series)]
    first_step = min(point.step for point in curve)
    stretches = []
    for start, end in pairwise(cuts):
        since = int(series.steps[start - 1]) if start else min(first_step, int(series.steps[0]))
        stretches.append(
            SpeedStretch(
                since,
                int(series.steps[end - 1]),
                float(np.median(series.values[start:end])),
                end - start,
            )
        )
    return tuple(stretches)


def find_throughput_drop(
    curve: Curve, settings: ThroughputSettings | None = None
) -> Finding | None:
    """The largest lasting drop of speed."""
    settings = settings or ThroughputSettings()
    stretches = find_speed_stretches(curve, settings)
    drops = [
        drop
        for index in range(1, len(stretches))
        if (drop := _drop(stretches, index, settings)) is not None
    ]
    return max(drops, key=lambda drop: drop.severity, default=None)


def _drop(
    stretches: tuple[SpeedStretch, ...], index: int, settings: ThroughputSettings
) -> Finding | None:
    """The drop that begins with a stretch, against the fastest before it, if it lasts."""
    slow = stretches[index]
    is_short = sum(stretch.num_points for stretch in stretches) < _FEW_POINTS
    least = 1 if is_short else settings.min_points
    steady = [stretch for stretch in stretches[:index] if stretch.num_points >= least]
    if not steady:
        return None
    before = min(steady, key=lambda stretch: stretch.step_seconds)
    run_steps = stretches[-1].end_step - stretches[0].start_step
    still_slow = [
        later
        for later in stretches[index:]
        if later.step_seconds >= settings.ratio * before.step_seconds
    ]
    lasted_steps = sum(later.end_step - later.start_step for later in still_slow)
    lasts = still_slow[-1:] == list(stretches[-1:]) or lasted_steps >= settings.share * run_steps
    ratio = slow.step_seconds / before.step_seconds
    if ratio < settings.ratio or not lasts:
        return None
    alone = " (one point: how long it lasts is unresolved)" if slow.num_points == 1 else ""
    return Finding(
        kind=FindingKind.THROUGHPUT_DROP,
        start_step=slow.start_step,
        end_step=still_slow[-1].end_step,
        severity=ratio,
        recovered=still_slow[-1] != stretches[-1],
        evidence=(
            f"a step took {before.step_seconds:.3g} s before step {slow.start_step} and "
            f"{slow.step_seconds:.3g} s after it: {1 / before.step_seconds:.3g} to "
            f"{1 / slow.step_seconds:.3g} steps/s ({100 * (1 / ratio - 1):+.0f} %){alone}"
        ),
        numbers={
            "ratio": ratio,
            "before_s": before.step_seconds,
            "after_s": slow.step_seconds,
            "num_points": slow.num_points,
        },
    )


def _cuts(series: Series, settings: ThroughputSettings) -> list[int]:
    """Indices at which a new stretch begins."""
    logs = np.log(series.values)
    smooth = _without_pauses(logs)
    found: list[int] = []
    open_parts = [(0, len(logs))]
    while open_parts and len(found) < _MAX_SEGMENTS:
        start, end = open_parts.pop()
        cut = _best_cut(series, smooth, start, end, settings)
        if cut is not None and _differ(logs[start:cut], logs[cut:end], settings):
            found.append(cut)
            open_parts += [(start, cut), (cut, end)]
    return sorted(found)


def _without_pauses(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running medians of five: steps stay where they are, single slow points go."""
    if len(logs) < _FEW_POINTS:
        return logs
    return np.median(sliding_window_view(np.pad(logs, 2, mode="edge"), 5), axis=1)


def _best_cut(
    series: Series, logs: NDArray[np.float64], start: int, end: int, settings: ThroughputSettings
) -> int | None:
    """The cut of `[start, end)` that leaves the least squares about two means."""
    part = logs[start:end]
    sums = np.cumsum(part)[:-1]
    num_left = np.arange(1, len(part))
    num_right = len(part) - num_left
    gap = sums / num_left - (part.sum() - sums) / num_right
    explained = gap**2 * num_left * num_right / max(len(part), 1)
    for offset in np.argsort(-explained, kind="stable")[: 2 * settings.min_points].tolist():
        cut = start + offset + 1
        if _may_stand_alone(series, start, cut, settings) and _may_stand_alone(
            series, cut, end, settings
        ):
            return int(cut)
    return None


def _may_stand_alone(series: Series, start: int, end: int, settings: ThroughputSettings) -> bool:
    """Whether a stretch is more than a pause: enough points, or long intervals."""
    if end - start >= settings.min_points:
        return True
    if start == 0:  # the first intervals hold compilation and caches that fill
        return end >= 2
    if end < len(series) or end >= _FEW_POINTS:
        return False  # one slow point at the end of many is the last save or evaluation
    steps = series.steps[end - 1] - series.steps[start - 1]
    return bool(steps >= settings.long_interval_steps * (end - start))


def _differ(
    left: NDArray[np.float64], right: NDArray[np.float64], settings: ThroughputSettings
) -> bool:
    """Whether two stretches differ by more than their scatter and by what matters."""
    gap = abs(float(np.median(right) - np.median(left)))
    # From differences: a part that changes once more is not noisy for that.
    scatter = max(difference_sigma(part) for part in (left, right))
    error = scatter * np.sqrt(1 / len(left) + 1 / len(right))
    return gap > np.log(settings.ratio) * 0.8 and gap > settings.sigmas * error and gap > scatter
