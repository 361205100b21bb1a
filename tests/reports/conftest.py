"""A small study and its 24 fake trials."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.search.results import StudyResults
from sweeper.study import StudySpec, spec_from_plain

from . import fakes

STUDY = {
    "name": "plateau",
    "seed": 17,
    "model": "builtin:tiny",
    "data": {"train": "builtin:pydoc-qa", "validation": "5%"},
    "evaluate": {"block_size": 128, "every_tokens": "40k"},
    "budget": {"trials": 24, "tokens_per_trial": "400k", "wall_clock": "30min"},
    "baseline": {"hyperparameters": fakes.BASELINE},
    "space": {
        "block_size": [64, 128, 256],
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
        "schedule": ["constant", "linear", "cosine"],
    },
    "hypotheses": [
        {"name": "smaller blocks", "change": {"block_size": 128}, "expect": "speed > baseline"},
        {"name": "bigger batch", "change": {"accumulation": 4}, "expect": "val_loss < baseline"},
        {"name": "constant low LR", "change": {"schedule": "constant", "learning_rate": 1e-5}},
    ],
}


def make_spec() -> StudySpec:
    return spec_from_plain(STUDY, Path("studies/plateau.yaml"))


@pytest.fixture
def spec() -> StudySpec:
    return make_spec()


@pytest.fixture
def results(spec: StudySpec) -> StudyResults:
    return fakes.full_results(spec)
