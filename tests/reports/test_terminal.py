"""What the terminal shows."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from sweeper.reports.terminal import status, summary
from sweeper.search.results import StudyResults
from sweeper.study import StudySpec

from . import fakes


def plain(renderable: RenderableType, width: int = 100, *, colour: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(renderable)
    return stream.getvalue()


def test_the_ending_says_the_result_first_and_the_files_last(results: StudyResults) -> None:
    lines = plain(summary(results, [Path("reports/plateau/report.html")])).rstrip().splitlines()
    assert lines[0].startswith("Trial 11 beats the baseline by 1.464 nats")
    assert lines[-1].strip() == "reports/plateau/report.html"


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_ending_fits_the_terminal(results: StudyResults, width: int) -> None:
    text = plain(summary(results), width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def test_a_study_without_trials_has_an_ending(spec: StudySpec) -> None:
    assert plain(summary(fakes.results_of(spec))) == "No trial has begun.\n"


def test_status_counts_and_shows_the_running_trial(results: StudyResults) -> None:
    text = plain(status(results), 120)
    assert "24 trials of 24: 11 completed" in text
    assert "1 running" in " ".join(text.split())
    assert "of at most 9.6M tokens spent" in text
    running = next(line for line in text.splitlines() if line.lstrip().startswith("22"))
    assert running.split()[1:3] == ["120", "200k"]


def test_status_of_a_trial_that_has_not_stepped(spec: StudySpec) -> None:
    text = plain(status(fakes.results_of(spec, fakes.trial(0, stop_reason=None))))
    assert "No trial has completed" in text
    assert "the baseline" in text


def test_names_cannot_steer_the_terminal(spec: StudySpec) -> None:
    spec = spec.model_copy(update={"name": "\x1b]0;owned\x07[red]x\x1b[2J"})
    best = replace(fakes.trial(1, fakes.learning_curve(4)), hypothesis="[bold]y[/bold]\x1b[2J\r\n")
    running = replace(fakes.trial(2, stop_reason=None), hyperparameters={"\x1b[2J": "[/x]\x07"})
    results = fakes.results_of(spec, fakes.trial(0, fakes.learning_curve(5)), best, running)
    for renderable in (status(results), summary(results, [Path("a\x1b[2Jb")])):
        text = plain(renderable, colour=True)
        assert "\x1b[2J" not in text
        assert "\x1b]" not in text
        assert "\x07" not in text
        assert "[bold]y[/bold]" in text
    assert "[red]x" in plain(status(results))
