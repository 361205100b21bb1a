"""The large study of the benchmark is one that our own code made."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import FrozenTrial

from sweeper.reports.report import write_report
from sweeper.search import attributes as attrs
from sweeper.search.results import load_results
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec, load_study
from tests.benchmarks.large_study import build_study, train_all, write_study_file

NUM_TRIALS = 14
# All but when it began and ended, and its row in the database.
_TOLD = (
    *("number", "state", "values", "params", "distributions", "user_attrs", "system_attrs"),
    "intermediate_values",
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    folder = tmp_path_factory.mktemp("large")
    return build_study(write_study_file(folder, NUM_TRIALS), NUM_TRIALS)


def _told(trial: FrozenTrial) -> dict[str, object]:
    """All but until when it was held."""
    values: dict[str, object] = {name: getattr(trial, name) for name in _TOLD}
    lease = {**trial.user_attrs[attrs.LEASE], "expires_at": None}
    return {**values, "user_attrs": {**trial.user_attrs, attrs.LEASE: lease}}


def test_its_trials_are_those_that_workers_leave_in_the_database(
    spec: StudySpec, tmp_path: Path
) -> None:
    path = write_study_file(tmp_path, NUM_TRIALS)
    by_workers = StudyStore(load_study(path, ["search.sampler=random"]), create=True)
    train_all(by_workers)

    found = StudyStore(spec, create=False).trials()

    assert [*map(_told, found)] == [*map(_told, by_workers.trials())]


def test_a_worker_goes_on_with_it_and_it_is_reported(spec: StudySpec) -> None:
    more = spec.budget.model_copy(update={"trials": NUM_TRIALS + 1})
    store = StudyStore(spec.model_copy(update={"budget": more}), create=False)
    results = load_results(store)

    report = write_report(results, spec.output_folder)
    claim = store.claim("worker")

    assert f"Study {spec.name}" in report.markdown.read_text("utf-8")
    assert all(trial.curve.evaluations() for trial in results.trials)
    assert claim is not None
    assert claim.number == NUM_TRIALS
