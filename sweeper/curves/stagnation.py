"""Stagnation of a finished curve: since when it has been flat, and whether it ever learned.

`sweeper.curves.plateau` asks a live trial whether its newest stretch still
gains. Here the whole curve is known, so the question is the reader's: since
which step has the run not improved on what it had reached?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweeper.curves.curve import Curve
from sweeper.curves.finding import Finding, FindingKind
from sweeper.curves.noise import difference_sigma, residual_sigma, theil_sen
from sweeper.curves.series import Series

_ROBUST_POINTS = 8  # fewer make a median absolute deviation unreliable
_MIN_MEDIAN = 3  # points whose median is steadier than each


@dataclass(frozen=True)
class StagnationSettings:
    """When a run counts as stuck.

    Attributes:
        share: The flat stretch is at least this share of the run after warmup: more than
            the second of two epochs, each of which may be a step of a staircase.
        relative: A new best lower by less than this fraction is none, however
            clean the curve: a slow clean fall is progress all the same.
        sigmas: A new best within so many standard deviations of the stretch's
            scatter is none either,
        small: unless it is lower by this fraction,
        few_small: or by this one, where the points are few.
        noise_limit: Noise (as many sigmas) above this fraction of the loss could
            hide real progress: then nothing is said.
        single_noise_limit: The same where single batches are all there is: too
            few points to take medians of, and no validation loss.
        learned: A run that never falls by this fraction has not learned.
        blocks: Medians of so many stretches stand for a long curve.
        min_points: Points of the flat stretch, spikes left out.
        min_train_points: The same without any validation loss: single batches
            tell less than evaluations.
    """

    share: float = 0.55
    relative: float = 0.002
    sigmas: float = 2.0
    small: float = 0.015
    few_small: float = 0.005
    noise_limit: float = 0.03
    single_noise_limit: float = 0.01
    learned: float = 0.005
    blocks: int = 24
    min_points: int = 3
    min_train_points: int = 8


@dataclass(frozen=True)
class _Stretch:
    """The curve since its best of long ago: steps, levels and what was gained on them."""

    start_step: int
    end_step: int
    best: float
    level: float
    gain: float
    noise: float
    num_points: int


def find_final_plateau(
    curve: Curve,
    *,
    since_step: int = 0,
    spikes: Sequence[Finding] = (),
    settings: StagnationSettings | None = None,
) -> Finding | None:
    """The flat stretch that the curve ends in, if it is most of the run.

    The training loss and the validation loss must both be flat, as far as their
    noise lets them tell: a validation loss that stands while training falls is
    on its way to overfitting, and single batches may hide what evaluations show.

    Args:
        curve: A finished curve that has not diverged.
        since_step: End of the warmup.
        spikes: Their points are left out.
        settings: Thresholds.
    """
    settings = settings or StagnationSettings()
    val = _usable(curve, "val_loss", since_step, spikes)
    train = _usable(curve, "train_loss", since_step, spikes)
    judged = []
    for series, limit in ((val, settings.noise_limit), (train, _train_limit(val, train, settings))):
        if len(series) < settings.min_points:
            continue
        if _is_noisy(series, limit, settings):
            if _is_falling(series, settings):
                return None
            continue
        stretch = _flat_stretch(series, settings)
        if stretch is None:
            return None
        judged.append((stretch, "validation" if series is val else "training"))
    if not judged:
        return None
    stretch, name = judged[0]
    return _plateau(stretch, name, max(found.start_step for found, _ in judged))


def _train_limit(val: Series, train: Series, settings: StagnationSettings) -> float:
    """How noisy training losses may be: 0 where they are too few to judge by themselves."""
    if len(val) >= settings.min_points or len(train) >= _MIN_MEDIAN * settings.blocks:
        return settings.noise_limit
    return settings.single_noise_limit if len(train) >= settings.min_train_points else 0.0


def _usable(curve: Curve, name: str, since_step: int, spikes: Sequence[Finding]) -> Series:
    """The points after the warmup and outside spikes."""
    series = Series.of(curve, name)
    keep = series.steps >= since_step
    for spike in spikes:
        keep &= (series.steps < spike.start_step) | (series.steps > spike.end_step)
    return series.where(keep)


def _is_noisy(series: Series, limit: float, settings: StagnationSettings) -> bool:
    """Whether the second half is so noisy that progress could hide in it."""
    blocks = series.blocks(settings.blocks)
    half = blocks.values[len(blocks) // 2 :]
    level = abs(float(np.median(half)))
    return settings.sigmas * difference_sigma(half) > limit * level or limit == 0


def _is_falling(series: Series, settings: StagnationSettings) -> bool:
    """Whether the trend of the second half is beyond its error, however noisy it is."""
    blocks = series.blocks(settings.blocks)
    half = blocks.where(np.arange(len(blocks)) >= len(blocks) // 2)
    if len(half) < settings.min_points:
        return False
    slope, _ = theil_sen(half.steps.astype(np.float64), half.values)
    fall = slope * float(half.steps[0] - half.steps[-1])
    # Standard error of a line's rise over its whole length, for points equally far apart.
    return fall > settings.sigmas * _scatter(half) * math.sqrt(12 / len(half))


def _scatter(series: Series) -> float:
    """Standard deviation about the trend; of a handful of points, half of which may lie on it,
    not the robust one, which would see the others as outliers.
    """
    x, y = series.steps.astype(np.float64), series.values
    if len(series) >= _ROBUST_POINTS or len(series) < 3:
        return residual_sigma(x, y) if len(series) > 1 else 0.0
    slope, intercept = theil_sen(x, y)
    # The squares of losses near the largest float would overflow; hypot scales them.
    return math.hypot(*(y - slope * x - intercept).tolist()) / math.sqrt(len(series) - 2)


def _flat_stretch(series: Series, settings: StagnationSettings) -> _Stretch | None:
    """The longest stretch to the end in which no best was set that matters."""
    blocks = series.blocks(settings.blocks)
    steps, values = blocks.steps, blocks.values
    run_steps = int(steps[-1] - steps[0])
    for index in range(len(values) - settings.min_points + 1):
        if steps[-1] - steps[index] < settings.share * run_steps:
            return None
        best, after = float(values[: index + 1].min()), blocks.where(steps > steps[index])
        noise = _scatter(blocks.where(steps >= steps[index]))
        # Of few points the scatter is itself uncertain: about Student's t for 95 %.
        sigmas = settings.sigmas * (1 + 2.5 / (len(values) - index))
        gain = best - float(after.values.min())
        is_few = len(values) - index < _ROBUST_POINTS
        most = settings.few_small if is_few else settings.small
        small = min(sigmas * noise, most * abs(best))
        if gain < max(settings.relative * abs(best), small):
            num_points = int((series.steps >= steps[index]).sum())
            level = float(np.median(after.values))
            return _Stretch(int(steps[index]), int(steps[-1]), best, level, gain, noise, num_points)
    return None


def _plateau(stretch: _Stretch, name: str, start_step: int) -> Finding:
    few = "; few points, so tentative" if stretch.num_points < 5 else ""
    gained = f"{stretch.gain:.4f} nats lower" if stretch.gain > 0 else "no lower"
    return Finding(
        kind=FindingKind.PLATEAU,
        start_step=start_step,
        end_step=stretch.end_step,
        severity=max(stretch.gain, 0.0),
        recovered=None,
        evidence=(
            f"{name} loss {stretch.best:.4f} by step {stretch.start_step} and {gained} in the "
            f"{stretch.end_step - stretch.start_step:,} steps since (level {stretch.level:.4f}, "
            f"noise {stretch.noise:.4f}, {stretch.num_points} points{few})"
        ),
        numbers={
            "level": stretch.level,
            "best": stretch.best,
            "gain_nats": max(stretch.gain, 0.0),
            "noise_nats": stretch.noise,
            "num_points": stretch.num_points,
        },
    )


def find_never_learned(
    curve: Curve, *, settings: StagnationSettings | None = None
) -> Finding | None:
    """A run whose loss never fell below its start, from its first step to its last.

    An excerpt that begins in the middle of a run cannot tell.
    """
    settings = settings or StagnationSettings()
    for name, least in (("val_loss", 4), ("train_loss", settings.min_train_points)):
        series = Series.of(curve, name)
        if len(series) < least or series.steps[0] > 0.1 * series.steps[-1]:
            continue
        if _is_noisy(series, settings.noise_limit, settings):
            continue
        blocks = series.blocks(settings.blocks)
        start, best = float(blocks.values[0]), float(blocks.values[1:].min())
        if best < start - settings.learned * abs(start):
            return None
        return Finding(
            kind=FindingKind.NEVER_LEARNED,
            start_step=int(series.steps[0]),
            end_step=int(series.steps[-1]),
            severity=max(start - best, 0.0),
            recovered=None,
            evidence=(
                f"{name.replace('_', ' ')} began at {start:.4f} and was never below {best:.4f} "
                f"({100 * (best / start - 1) if start else math.nan:+.2f} %) in "
                f"{len(series)} points"
            ),
            numbers={"start": start, "best": best},
        )
    return None
