"""Climbs: a loss that rises so slowly that no point jumps.

Like `sweeper.curves.spike`, point by point, for the live pruner and finished logs alike.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from sweeper.curves.finding import Finding, FindingKind
from sweeper.curves.noise import difference_sigma


@dataclass(frozen=True)
class ClimbSettings:
    """When a slow rise counts as divergence.

    Attributes:
        smooth: Points whose median stands for the loss.
        relative: Rise over the best such median, as a fraction of it.
        nats: The same in nats.
        sigmas: The same in standard errors of such a median.
    """

    smooth: int = 8
    relative: float = 0.05
    nats: float = 0.25
    sigmas: float = 6.0


class ClimbDetector:
    """Finds a sustained rise over the best level so far, however slowly it comes."""

    def __init__(self, settings: ClimbSettings | None = None) -> None:
        self._settings = settings or ClimbSettings()
        self._recent: deque[float] = deque(maxlen=4 * self._settings.smooth)
        self._best = math.inf
        self._best_sigma = 0.0
        self.open_since_tokens: int | None = None
        self._start_step = 0
        self._rise = 0.0
        self._last_step = 0

    def update(self, step: int, tokens: int, value: float) -> None:
        """Take the next value; those that are not finite are another detector's."""
        if not math.isfinite(value):
            return
        self._recent.append(value)
        self._last_step = step
        if len(self._recent) < self._settings.smooth:
            return
        level = float(np.median(list(self._recent)[-self._settings.smooth :]))
        sigma = difference_sigma(list(self._recent)) * math.sqrt(
            math.pi / 2 / self._settings.smooth
        )
        threshold = max(
            self._settings.nats,
            self._settings.relative * abs(self._best) if math.isfinite(self._best) else 0.0,
            self._settings.sigmas * max(sigma, self._best_sigma),
        )
        if level < self._best:
            self._best, self._best_sigma = level, sigma
        self._rise = level - self._best
        if self._rise <= threshold:
            self.open_since_tokens = None
        elif self.open_since_tokens is None:
            self.open_since_tokens, self._start_step = tokens, step

    def findings(self) -> list[Finding]:
        """The rise that the series is in, if it is in one."""
        if self.open_since_tokens is None:
            return []
        return [
            Finding(
                kind=FindingKind.DIVERGENCE,
                start_step=self._start_step,
                end_step=self._last_step,
                severity=self._rise,
                recovered=False,
                evidence=(
                    f"the median of {self._settings.smooth} losses stands {self._rise:.2f} nats "
                    f"above its best, {self._best:.4f}"
                ),
                numbers={"rise_nats": self._rise, "best": self._best},
            )
        ]
