"""The commands of a study: running it, judging it, looking at it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.commands.examine import examine_spikes
from sweeper.commands.terms import Overrides, StudyFile, fail, progress_console, show
from sweeper.errors import NoCompletedTrialError, SweeperError

if TYPE_CHECKING:
    from sweeper.study import StudySpec


def run(
    study: StudyFile,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done and what it would cost.")
    ] = False,
    examine: Annotated[
        bool,
        typer.Option(
            "--examine",
            help="Examine the trials that a spike ended, afterwards: some 150 steps for each.",
        ),
    ] = False,
) -> None:
    """Run a study, or go on with one that was interrupted."""
    from sweeper.study import load_study

    spec = load_study(study, overrides or [])
    if dry_run:
        from sweeper.reports.preview import preview
        from sweeper.search.forecast import forecast

        show(preview(spec, forecast(spec)))
        return
    from sweeper.search.workers.pool import warming_up

    with warming_up(spec):
        _run(study, spec)
    if examine:
        examine_spikes(spec)
    _conclude(study, overrides, export=True)


def _run(study: Path, spec: StudySpec) -> None:
    """Run a study's trials, and then those on other seeds where it asks for them.

    Raises:
        typer.Exit: A signal came.
    """
    from sweeper.reports.live import StudyView
    from sweeper.search.runner import run_study
    from sweeper.search.verifying.carrying import verify_study
    from sweeper.search.workers.signals import exit_code

    console = progress_console()
    with StudyView(console) as view:
        outcome = run_study(spec, observe=view.observe, tell=view.tell)
        exhausted = outcome.exhausted
        if outcome.signal is None and not outcome.wall_clock_spent:
            verified = verify_study(spec, observe=view.observe, tell=view.tell)
            outcome = verified or outcome
    if outcome.signal is not None:
        fail(
            f"interrupted; every trial is kept to its last step. Go on with: sweeper run {study}",
            exit_code(outcome.signal, os.environ),
        )
    if outcome.wall_clock_spent:
        console.print("The study's wall clock is spent; raise budget.wall_clock to go on.")
    if exhausted:
        console.print(
            "All of the study's space has been tried, or does not fit in memory: no trial is left "
            "to draw. Widen the space in a study of another name to go on."
        )


def worker(study: StudyFile, overrides: Overrides = None) -> None:
    """Train trials of a study here, beside any other workers, until none is left to take."""
    from sweeper.reports.live import StudyView
    from sweeper.search.workers.joining import join_study
    from sweeper.search.workers.signals import exit_code
    from sweeper.study import load_study

    spec = load_study(study, overrides or [])
    console = progress_console()
    with StudyView(console) as view:
        outcome = join_study(spec, observe=view.observe, tell=view.tell)
    if outcome.signal is not None:
        fail(
            "left; its trials are kept to their last step, for the next worker to go on with",
            exit_code(outcome.signal, os.environ),
        )
    console.print(
        "The study's wall clock is spent."
        if outcome.wall_clock_spent
        else f"No trial is left to take. Judge and report them with: sweeper run {study}"
    )


def report(study: StudyFile, overrides: Overrides = None) -> None:
    """Write the report of a study as it stands: Markdown, HTML, figures, CSV."""
    _conclude(study, overrides, export=False)


def status(study: StudyFile, overrides: Overrides = None) -> None:
    """Show how far a study is, and what is running."""
    from sweeper.reports.terminal import status as status_view
    from sweeper.search.results import load_results
    from sweeper.search.store import StudyStore
    from sweeper.study import load_study

    spec = load_study(study, overrides or [])
    show(status_view(load_results(StudyStore(spec, create=False))))


def validate(study: StudyFile, overrides: Overrides = None) -> None:
    """Check a study file: all problems at once, each with its line and column."""
    from sweeper.reports.words import clean
    from sweeper.study import load_study

    spec = load_study(study, overrides or [])
    print(f"{clean(study)}: a valid study of {spec.budget.trials} trials")


def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from sweeper.study import study_json_schema

    print(json.dumps(study_json_schema(), indent=2))


def dashboard(
    study: StudyFile,
    overrides: Overrides = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 8080,
) -> None:
    """Start optuna-dashboard on a study, on this machine only."""
    from sweeper.search.dashboard import start_dashboard
    from sweeper.study import load_study

    process = start_dashboard(load_study(study, overrides or []), port)
    progress_console().print(f"http://127.0.0.1:{port}/  (Ctrl-C ends it)")
    try:
        code = process.wait()
    except KeyboardInterrupt:
        return
    finally:
        process.terminate()
        process.wait()
    if code:
        raise SweeperError(
            f"optuna-dashboard ended with code {code}; is port {port} taken? Try --port {port + 1}"
        )


def _conclude(study: Path, overrides: list[str] | None, *, export: bool) -> None:
    """Write the report of a study, and show how it ended."""
    from sweeper.reports.report import write_report
    from sweeper.reports.terminal import summary
    from sweeper.search.dashboard import attach_plot
    from sweeper.search.results import load_results
    from sweeper.search.store import StudyStore
    from sweeper.study import load_study

    spec = load_study(study, overrides or [])
    store = StudyStore(spec, create=False)
    results = load_results(store)
    paths = write_report(results, spec.output_folder)
    attach_plot(store, paths.figures["val_loss"])
    made, failure = [], None
    if export:
        from sweeper.search.export import export_best

        try:
            made += list(filter(None, [export_best(results)]))
        except SweeperError as error:
            failure = error  # the report is no worse for it
    made += [paths.html, paths.markdown, paths.csv, paths.ledger, *paths.figures.values()]
    show(summary(results, [Path(os.path.relpath(path)) for path in made]))
    if failure is not None:
        raise failure
    if results.best is None:
        raise NoCompletedTrialError(
            f"no trial of {spec.name} has completed yet; go on with: sweeper run {study}"
        )
