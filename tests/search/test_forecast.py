"""The dry run: what would be done, from measured steps, with nothing left behind."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from sweeper.reports.preview import preview
from sweeper.search.forecast import Forecast, forecast
from sweeper.search.measured import Measured
from sweeper.search.runner import run_study
from sweeper.search.store import StudyStore
from sweeper.search.verifying.prospects import Prospect
from sweeper.search.workers.crew import Crew
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
    assert found.measured.trial_s * 6 <= found.measured.seconds
    assert found.looks is None


@pytest.mark.usefixtures("stored_in_memory")
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


def test_the_preview_counts_other_seeds_and_the_ablation(new_study: NewStudy) -> None:
    spec = new_study(
        hypotheses=[
            {"name": "small", "change": {"block_size": 16}},
            {"name": "quick", "change": {"rank": 1}, "expect": "speed > baseline"},
        ],
        verify={"pairs": [5, 8], "top": 2, "ablate": True},
    )
    found = Forecast(
        num_trials=6,
        fixed=(),
        sampled=(),
        tokens=24_000,
        crew=Crew(1, 1),
        will_measure=False,
        measured=Measured(60.0, 10.0, {32: 400.0}, 0.1, 60, 9_000, 40, has_to_pretrain=False),
        looks=Prospect(10, 32),
        ablation=Prospect(0, 30),
    )
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(preview(spec, found))
    text = console.export_text()
    assert "seeds: 10 to 32 trials, 40k to 128k tokens, 1 min 40 s to 5 min 20 s; a look" in text
    assert "the ablation: at most 30 trials, 120k tokens, 5 min" in text
    assert "In all at most 272k tokens, about 11 min 20 s" in text
    assert "speeds are measured in turns" in text
