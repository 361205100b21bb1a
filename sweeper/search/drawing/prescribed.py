"""The trials that a study file prescribes, and how many it can give at all."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from sweeper.search.drawing.samplers import grid_values
from sweeper.search.drawing.space import distributions_of
from sweeper.study import Hyperparameters, StudySpec


@dataclass(frozen=True)
class FixedTrial:
    """A trial that the study file prescribes, before any is sampled."""

    hyperparameters: Hyperparameters
    is_baseline: bool = False
    hypothesis: str | None = None


def fixed_trials(spec: StudySpec) -> list[FixedTrial]:
    """The baseline first, then the hypotheses, then the study's own list."""
    baseline = spec.baseline_hyperparameters
    return [
        FixedTrial(baseline, is_baseline=True),
        *(
            FixedTrial(spec.hyperparameters_with(h.change), hypothesis=h.name)
            for h in spec.hypotheses
        ),
        *(FixedTrial(spec.hyperparameters_with(change)) for change in spec.trials),
    ]


def most_trials(spec: StudySpec) -> int:
    """Trials that the search can give at all: a grid and a list come to an end."""
    fixed = len(fixed_trials(spec))
    match spec.search.sampler:
        case "list":
            return fixed
        case "grid":
            return fixed + math.prod(len(grid_values(d)) for d in distributions_of(spec).values())
        case _:
            return sys.maxsize
