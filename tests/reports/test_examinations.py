"""Examined spikes in the report, in the figure and on the terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.errors import UsageError
from sweeper.reports.content import report_content
from sweeper.reports.examinations import examination_view, in_words
from sweeper.reports.figures import FIGURES
from sweeper.reports.html import render_html
from sweeper.reports.markdown import render_markdown
from sweeper.search.examining import examine_trial, spiked_trials
from sweeper.search.results import StudyResults
from sweeper.study import StudySpec
from sweeper.training.examination import (
    Change,
    Examination,
    Experiment,
    ReadDocument,
    SpikeCause,
)

from . import fakes
from .test_terminal import plain


def experiment(change: Change, height: float, *losses: float) -> Experiment:
    return Experiment(
        change=change, first_step=8, train_losses=losses, height=height, val_loss=losses[-1]
    )


FOUND = Examination(
    trial=19,
    onset_step=12,
    recorded_height=1.56,
    learning_rate=0.046,
    checkpoint_step=0,
    branch_step=7,
    repeats_exactly=True,
    usual_grad_norm=0.47,
    onset_grad_norm=2.84,
    peak_grad_norm=29.5,
    peak_grad_norm_step=53,
    val_loss_before=4.807,
    batch_losses=(4.903, 4.924),
    other_batch_losses=(4.93, 5.302),
    documents=(ReadDocument(step=12, name=fakes.HOSTILE, num_tokens=29, loss=5.348),) * 13,
    other_document_losses=(4.716, 5.534),
    experiments=(
        experiment(Change.NOTHING, 1.56, 4.86, 4.81, 4.86, 4.94, 5.53, 6.42),
        experiment(Change.BATCH, 1.96, 4.86, 4.81, 4.86, 5.2, 4.9, 6.82),
        experiment(Change.HALF_RATE, 0.0, 4.86, 4.76, 4.62, 4.85, 4.85, 4.65),
        experiment(Change.MOMENTS, float("inf"), 4.86, float("nan")),
    ),
    cause=SpikeCause.RATE,
    evidence="Alone this makes it go.",
)


@pytest.fixture
def examined(results: StudyResults) -> StudyResults:
    trials = tuple(
        replace(trial, examination=FOUND) if trial.number == 19 else trial
        for trial in results.trials
    )
    return replace(results, trials=trials)


def test_the_report_shows_every_experiment_and_the_documents(examined: StudyResults) -> None:
    content = report_content(examined)
    text = render_markdown(content)
    assert "### Trial 19, step 12: rate too high" in text
    assert "| half the rate | 4.860 | no spike | 4.650 | 4.650 (-0.157) |" in text
    assert "| as it was (control) | 6.420 | +1.560 | 6.420 |" in text
    assert "usually 0.47 before" in text
    assert "(12 of 13)" in text
    assert "1 spike examined: 1 rate too high." in text
    page = render_html(content, {figure.file: b"" for figure in content.figures})
    assert "<h2>Spikes examined</h2>" in page
    assert "<script>" not in page


def test_the_figure_is_drawn_only_where_a_spike_was_examined(
    examined: StudyResults, results: StudyResults, tmp_path: Path
) -> None:
    assert "spikes" in [figure.name for figure in report_content(examined).figures]
    assert "spikes" not in [figure.name for figure in report_content(results).figures]
    assert FIGURES["spikes"](examined, tmp_path / "spikes.png").stat().st_size > 10_000
    assert FIGURES["spikes"](results, tmp_path / "none.png").is_file()


def test_a_spike_at_the_start_says_what_could_not_be_known() -> None:
    early = FOUND.model_copy(update={"usual_grad_norm": None, "branch_step": 0})
    text = in_words(early).before
    assert "2.84 at it; too few came before" in text
    assert "no moments to be forgotten" in text


def test_the_terminal_says_the_cause_first(examined: StudyResults) -> None:
    lines = plain(examination_view(FOUND)).splitlines()
    assert lines[0] == "Trial 19, step 12: rate too high"
    assert "\x1b" not in "".join(lines)


def test_what_cannot_be_examined_is_said(examined: StudyResults, spec: StudySpec) -> None:
    assert [trial.number for trial in spiked_trials(examined)] == [19, 20]
    with pytest.raises(UsageError, match="no trial of plateau was ended by a spike"):
        examine_trial(fakes.results_of(spec), None, lambda *_: None)
    with pytest.raises(UsageError, match="--trial 99"):
        examine_trial(examined, 99, lambda *_: None)
