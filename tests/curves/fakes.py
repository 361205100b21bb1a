"""Curves made by hand: what the detectors are held against."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sweeper.curves import Finding, Point
from sweeper.curves.climb import ClimbDetector
from sweeper.curves.spike import SpikeDetector, SpikeSettings

# Steps and losses of a real run that spiked above its starting loss and came back.
RECORDED_STEPS = (0, 500, 1000, 1500, 2000, 2500)
RECORDED_LOSSES = (9.227, 6.954, 6.581, 6.651, 9.585, 6.642)


def decay(num: int, *, noise: float = 0.0, seed: int = 0, start: float = 6.0) -> list[float]:
    """A loss that falls exponentially to 3 nats, with normal noise."""
    rng = np.random.default_rng(seed)
    steps = np.arange(num)
    falling = 3.0 + (start - 3.0) * np.exp(-steps / (num / 4))
    return [float(value) for value in falling + noise * rng.standard_normal(num)]


def evaluations(losses: Sequence[float], every_tokens: int = 1000) -> list[Point]:
    """Points with a validation loss at each rung."""
    return [Point(step=i, tokens=i * every_tokens, val_loss=loss) for i, loss in enumerate(losses)]


def watched(
    losses: Sequence[float],
    *,
    steps: Sequence[int] | None = None,
    settings: SpikeSettings | None = None,
) -> SpikeDetector:
    """A spike detector that has seen all of a series."""
    detector = SpikeDetector(settings)
    for index, loss in enumerate(losses):
        step = index if steps is None else steps[index]
        detector.update(step, step * 10, loss)
    return detector


def spikes(losses: Sequence[float]) -> list[Finding]:
    """The spikes of a series whose steps count from 0."""
    return watched(losses).findings()


def climbed(losses: Sequence[float]) -> ClimbDetector:
    """A climb detector that has seen all of a series."""
    detector = ClimbDetector()
    for step, loss in enumerate(losses):
        detector.update(step, step * 10, loss)
    return detector


NAN = math.nan
