"""Optuna pruners on sweeper's detectors, for anybody's own study.

    study = optuna.create_study(pruner=SpikePruner(patience=3))

Sweeper's own trials are watched by `sweeper.search.monitor`, which knows the
warmup and the schedule too; these know only what a trial reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import optuna
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from sweeper.curves import Point
from sweeper.curves.plateau import PlateauSettings, find_plateau
from sweeper.curves.spike import SpikeDetector, SpikeSettings


class SpikePruner(BasePruner):
    """Prunes a trial whose reported value jumps and does not come back.

    A value that is no number prunes at once. A spike that falls back, even above
    the starting value, is forgiven. Where values are maximised, a fall is a spike.

    Args:
        patience: Reports that a spike may last after the one that began it.
        settings: When a rise counts as a spike; thresholds in nats are in the
            units of the reported value.

    Raises:
        ValueError: The patience is negative.
    """

    def __init__(self, patience: int = 2, settings: SpikeSettings | None = None) -> None:
        if patience < 0:
            raise ValueError(f"patience is {patience} (allowed: 0 or more reports)")
        self._patience = patience
        self._settings = settings or SpikeSettings()

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """See optuna's BasePruner."""
        detector = SpikeDetector(self._settings)
        for step, value in _losses(study, trial):
            if not math.isfinite(value):
                return True
            detector.update(step, step, value)
        return detector.open is not None and detector.open.num_points > self._patience


class PlateauPruner(BasePruner):
    """Prunes a trial that has gone flat too far from the best value seen.

    Flat means that the gain over the window is lost in its noise, or below half
    a percent of the value. The best value is the best that any other trial has
    reported, running ones included; without one nothing is pruned.

    Args:
        window: Newest reports that must show progress, at least three.
        margin: How far from the best a flat trial may stay, in the units of the
            reported value.
        min_reports: Reports before the first decision; None: as many as the window.
        settings: When a stretch counts as flat.

    Raises:
        ValueError: The window is too short to tell, or the margin is negative.
    """

    def __init__(
        self,
        window: int = 4,
        margin: float = 0.1,
        min_reports: int | None = None,
        settings: PlateauSettings | None = None,
    ) -> None:
        self._settings = settings or PlateauSettings()
        if window < self._settings.min_points:
            raise ValueError(
                f"window is {window} (allowed: at least {self._settings.min_points} reports)"
            )
        if not margin >= 0:
            raise ValueError(f"margin is {margin} (allowed: 0 or more)")
        self._window = window
        self._margin = margin
        self._min_reports = max(window, min_reports or 0)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """See optuna's BasePruner."""
        points = [
            Point(step=step, tokens=step, val_loss=value)
            for step, value in _losses(study, trial)
            if math.isfinite(value)
        ]
        if len(points) < self._min_reports:
            return False
        stretch = points[-self._window :]
        flat = find_plateau(stretch, since_tokens=stretch[0].tokens, settings=self._settings)
        best = _best_of_others(study, trial)
        latest = stretch[-1].val_loss
        if flat is None or best is None or latest is None:
            return False
        return latest > best + self._margin


def _losses(study: Study, trial: FrozenTrial) -> Iterator[tuple[int, float]]:
    """What a trial reported, in the order of its steps, as values to minimise."""
    sign = -1.0 if study.direction is StudyDirection.MAXIMIZE else 1.0
    for step in sorted(trial.intermediate_values):
        yield step, sign * trial.intermediate_values[step]


def _best_of_others(study: Study, trial: FrozenTrial) -> float | None:
    others: list[optuna.trial.FrozenTrial] = study.get_trials(deepcopy=False)
    losses = (
        loss
        for other in others
        if other.number != trial.number
        for _, loss in _losses(study, other)
        if math.isfinite(loss)
    )
    return min(losses, default=None)
