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
from sweeper.curves.noise import residual_sigma
from sweeper.curves.series import Series


@dataclass(frozen=True)
class StagnationSettings:
    """When a run counts as stuck.

    Attributes:
        share: The flat stretch is at least this share of the run after warmup.
        relative: A new best lower by less than this fraction is none, however
            clean the curve: a slow clean fall is progress all the same.
        sigmas: A new best within so many standard deviations of the stretch's
            scatter is none either,
        noise_limit: but scatter (as many sigmas) above this fraction of the loss
            could hide real progress: then nothing is said.
        learned: A run that never falls by this fraction has not learned.
        blocks: Medians of so many stretches stand for a long curve.
        min_points: Points of the flat stretch, spikes left out.
        min_train_points: The same without any validation loss: single batches
            tell less than evaluations.
    """

    share: float = 0.5
    relative: float = 0.001
    sigmas: float = 2.0
    noise_limit: float = 0.03
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
    """The flat stretch that the curve ends in, if it is half of the run or more.

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
    for series, least in ((val, settings.min_points), (train, _least_train(val, settings))):
        if len(series) < least or _is_noisy(series, settings):
            continue
        stretch = _flat_stretch(series, settings)
        if stretch is None:
            return None
        judged.append((stretch, "validation" if series is val else "training"))
    if not judged:
        return None
    stretch, name = judged[0]
    return _plateau(stretch, name, max(found.start_step for found, _ in judged))


def _least_train(val: Series, settings: StagnationSettings) -> int:
    return settings.min_points if len(val) >= settings.min_points else settings.min_train_points


def _usable(curve: Curve, name: str, since_step: int, spikes: Sequence[Finding]) -> Series:
    """The points after the warmup and outside spikes (the last point of one is back down)."""
    series = Series.of(curve, name)
    keep = series.steps >= since_step
    for spike in spikes:
        keep &= ~((series.steps >= spike.start_step) & (series.steps < spike.end_step))
        keep &= series.steps != spike.numbers.get("peak_step", -1)
    return series.where(keep)


def _is_noisy(series: Series, settings: StagnationSettings) -> bool:
    """Whether the second half scatters so much that progress could hide in it."""
    half = series.blocks(settings.blocks)
    half = half.where(np.arange(len(half)) >= len(half) // 2)
    level = abs(float(np.median(half.values)))
    if len(half) < settings.min_points:
        return False
    return settings.sigmas * _scatter(half) > settings.noise_limit * level


def _scatter(series: Series) -> float:
    return residual_sigma(series.steps.astype(np.float64), series.values)


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
        gain = best - float(after.values.min())
        if gain < max(settings.relative * abs(best), settings.sigmas * noise):
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
        if _is_noisy(series, settings):
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
