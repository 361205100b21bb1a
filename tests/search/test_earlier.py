"""A study that starts from what an earlier one found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper.errors import StorageError, UsageError
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec, load_study
from tests.search.fakes import plain, run_faked

pytestmark = pytest.mark.usefixtures("stored_in_memory")

RATE: dict[str, Any] = {"learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}}


def study_at(folder: Path, name: str, **changes: Any) -> StudySpec:
    (folder / "qa.md").write_text("Q: a\nA: b\n")
    changes = {"space": RATE, "name": name, **changes}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(plain(**changes)))
    return load_study(folder / f"{name}.yaml")


def tpe(warm_start: str | None) -> dict[str, Any]:
    return {"sampler": "tpe", "startup_trials": 10, "warm_start": warm_start}


def mean_distance(spec: StudySpec) -> float:
    """Of the rates that it draws from the best one, 1e-2."""
    rates = [c.hyperparameters.learning_rate for c in run_faked(StudyStore(spec, create=True))[1:]]
    return sum(abs(rate - 0.01) for rate in rates) / len(rates)


def test_sampler_begins_where_the_earlier_study_was_good(tmp_path: Path) -> None:
    earlier = study_at(tmp_path, "earlier", search=tpe(None), budget={"trials": 40})
    run_faked(StudyStore(earlier, create=True))
    cold = study_at(tmp_path, "cold", search=tpe(None), seed=5, budget={"trials": 9})
    warm = study_at(tmp_path, "warm", search=tpe("earlier.yaml"), seed=5, budget={"trials": 9})

    assert mean_distance(warm) < 0.6 * mean_distance(cold)
    assert len(StudyStore(warm, create=False).trials()) == 9, "its own alone"
    assert len(StudyStore(earlier, create=False).trials()) == 40, "which is left as it was"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"space": {"rank": [1, 2]}}, "space.learning_rate:"),
        ({"model": "builtin:tiny"}, "model: builtin:tiny -> builtin:untrained"),
        ({"budget": {"tokens_per_trial": 2000}}, "tokens_per_trial: 2000 -> 4000"),
        ({"evaluate": {"block_size": 32}}, "evaluate.block_size: 32 -> 16"),
    ],
)
def test_losses_that_mean_something_else_are_refused(
    tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    study_at(tmp_path, "earlier", **changes)
    spec = study_at(tmp_path, "warm", search=tpe("earlier.yaml"))

    with pytest.raises(UsageError, match="losses come from something else") as caught:
        StudyStore(spec, create=True)

    assert line in str(caught.value)


def test_a_study_that_was_not_run_is_no_start(tmp_path: Path) -> None:
    study_at(tmp_path, "earlier")
    with pytest.raises(StorageError, match="earlier has not been run yet"):
        StudyStore(study_at(tmp_path, "warm", search=tpe("earlier.yaml")), create=True)
