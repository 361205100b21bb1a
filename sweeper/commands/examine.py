"""The command `sweeper examine`: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.commands.terms import Overrides, StudyFile
from sweeper.errors import SweeperError

if TYPE_CHECKING:  # it is known once a study was read
    from sweeper.study import StudySpec


def examine(
    study: StudyFile,
    overrides: Overrides = None,
    trial: Annotated[
        int | None,
        typer.Option(help="Number of the trial; the first ended by a spike if not given.", min=0),
    ] = None,
) -> None:
    """Take the steps around a trial's spike again: bad batch, rate too high, or optimizer state."""
    from rich.console import Console

    from sweeper.reports import words
    from sweeper.reports.examinations import examination_view
    from sweeper.reports.live import RunView
    from sweeper.search.examining import examine_trial
    from sweeper.search.results import load_results
    from sweeper.search.store import StudyStore
    from sweeper.study import load_study

    spec = load_study(study, overrides or [])
    results = load_results(StudyStore(spec, create=False))
    with RunView(Console(stderr=True)) as view:
        found = examine_trial(results, trial, view.tell)
    Console().print(examination_view(found))
    print(f"Kept in the trial's folder; sweeper report {words.shell_word(str(study))} shows it")


def examine_spikes(spec: StudySpec) -> None:
    """Examine every trial that a spike ended and that was not examined yet."""
    from rich.console import Console

    from sweeper.reports import words
    from sweeper.reports.live import RunView
    from sweeper.search.examining import examine_trial, spiked_trials
    from sweeper.search.results import load_results
    from sweeper.search.store import StudyStore

    results = load_results(StudyStore(spec, create=False))
    console = Console(stderr=True)
    for trial in spiked_trials(results):
        if trial.examination is None:
            console.print(f"examining the spike of trial {trial.number}")
            try:
                with RunView(console) as view:
                    examine_trial(results, trial.number, view.tell)
            except SweeperError as error:  # the study's report is written all the same
                console.print(words.clean(error), markup=False)
