"""What other seeds may take, before anything is known of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.search.verifying.prospects import Prospect, ablation_ahead, looks_ahead
from sweeper.study import StudySpec
from tests.search.fakes import spec_at

LOSS = {"name": "rank", "change": {"rank": 3}}
SAME = {"name": "same", "change": {"batch_size": 4, "accumulation": 2}}  # as the baseline
SPEED = {"name": "quick", "change": {"rank": 1}, "expect": "speed > baseline"}


def study(folder: Path, **changes: Any) -> StudySpec:
    return spec_at(folder, **{"verify": {"pairs": [5, 8], "top": 2, "ablate": True}, **changes})


def looks(spec: StudySpec, num_trials: int = 6) -> tuple[int, int]:
    assert spec.verify is not None
    found = looks_ahead(spec, spec.verify, num_trials)
    return found.least, found.most


@pytest.mark.parametrize(
    ("hypotheses", "bounds"),
    [
        ([], (0, 8 * 3)),  # no trial may come below the baseline
        ([LOSS], (5 * 2, 8 * 4)),
        ([LOSS, SPEED], (5 * 2, 8 * 4)),
        ([SAME], (5 * 1, 8 * 4)),  # lent: its runs cost nothing
        ([SPEED], (0, 8 * 3)),
    ],
)
def test_looks_take_the_hypotheses_once_or_all_that_was_asked_for_always(
    tmp_path: Path, hypotheses: list[dict[str, Any]], bounds: tuple[int, int]
) -> None:
    assert looks(study(tmp_path, hypotheses=hypotheses)) == bounds


def test_no_more_recipes_are_best_than_were_tried(tmp_path: Path) -> None:
    spec = study(tmp_path, hypotheses=[LOSS], verify={"pairs": [5], "top": 9})
    assert looks(spec, num_trials=2) == (10, 10)
    assert looks(spec, num_trials=1) == (0, 0), "the hypothesis is not tried, either"


@pytest.mark.parametrize(
    ("space", "trials", "num_recipes"),
    [
        ({"rank": [1, 2], "block_size": [16, 32], "dropout": [0.0, 0.1], "seed": [1, 2]}, [], 6),
        ({"rank": [1, 2], "block_size": [16, 32]}, [], 2),
        ({"rank": [1, 2], "batch_size": [4, 8], "accumulation": [1, 2]}, [], 2),
        ({"rank": [1, 2]}, [], 0),
        ({}, [{"rank": 1, "dropout": 0.1, "block_size": 16, "batch_size": 4}], 8),
    ],
)
def test_ablation_has_no_more_recipes_than_changes_both_ways(
    tmp_path: Path, space: dict[str, Any], trials: list[dict[str, Any]], num_recipes: int
) -> None:
    sampler = "list" if trials else "random"
    spec = study(tmp_path, space=space, trials=trials, search={"sampler": sampler})
    assert spec.verify is not None
    num_trials = 2 if trials else 6
    assert ablation_ahead(spec, spec.verify, num_trials) == Prospect(0, 5 * num_recipes)
