"""The dry run: what would be done, from measured steps, with nothing left behind."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from sweeper.reports.preview import preview
from sweeper.search.forecast import forecast
from sweeper.search.runner import run_study
from sweeper.search.store import StudyStore
from tests.search.conftest import NewStudy


def files_under(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_a_forecast_leaves_nothing_behind_and_adds_up(new_study: NewStudy, tmp_path: Path) -> None:
    spec = new_study(hypotheses=[{"name": "small", "change": {"block_size": 16}}])
    before = files_under(tmp_path)

    found = forecast(spec)

    assert files_under(tmp_path) == before
    assert found.num_trials == 6
    assert found.tokens == 6 * spec.budget.tokens_per_trial
    assert [what for what, _ in found.fixed] == ["baseline", "small"]
    assert found.measured is not None
    assert set(found.measured.tokens_per_s) == {16, 32}
    assert found.measured.seconds > 0
    assert 0 < found.measured.evaluation_share < 1


def test_the_trials_that_it_shows_are_those_that_the_run_draws(new_study: NewStudy) -> None:
    spec = new_study(budget={"trials": 3})
    shown = [recipe.learning_rate for recipe in forecast(spec).sampled]

    run_study(spec, observe=lambda _: None, tell=lambda *_: None)

    trials = StudyStore(spec, create=False).trials()
    assert [trial.params["learning_rate"] for trial in trials[1:]] == shown


def test_the_preview_names_space_trials_costs_and_place(new_study: NewStudy) -> None:
    spec = new_study()
    console = Console(width=100, record=True, file=io.StringIO())

    console.print(preview(spec, forecast(spec)))

    text = console.export_text()
    for part in ("nothing was written", "0.0001 to 0.1, logarithmic", "random draw", "tokens/s"):
        assert part in text
    assert "reports/small" in text.replace("\n", "")
