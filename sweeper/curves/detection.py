"""All detectors over one finished curve."""

from __future__ import annotations

from sweeper.curves.curve import Curve
from sweeper.curves.finding import Finding
from sweeper.curves.non_finite import find_non_finite
from sweeper.curves.spike import SpikeDetector


def detect(curve: Curve, *, warmup_steps: int | None = None) -> tuple[Finding, ...]:
    """Everything that the detectors find, in the order of the steps.

    Args:
        curve: Points in the order of their steps.
        warmup_steps: Length of the warmup, where it is known.
    """
    spikes = SpikeDetector()
    broken = next(filter(None, map(find_non_finite, curve)), None)
    for point in curve:
        if point.train_loss is not None:
            spikes.update(point.step, point.step, point.train_loss)
    return tuple([*spikes.findings(), *([broken] if broken else [])])
