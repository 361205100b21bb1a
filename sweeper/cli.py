"""The command line: parse, call, print. Results go to stdout, progress to stderr."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sweeper import __version__
from sweeper.cli_diagnose import diagnose
from sweeper.cli_examine import examine, examine_spikes
from sweeper.cli_replay import bank, simulate
from sweeper.cli_storage import storage
from sweeper.errors import NoCompletedTrialError, SweeperError

if TYPE_CHECKING:  # `diagnose` prints without it, and is to answer at once
    from rich.console import Console

app = typer.Typer(
    name="sweeper",
    help="Finds out why a GPT-2 LoRA fine-tuning is stuck, and which change really helps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    # An absent `--help` is else None, and to make that a boolean typer imports pydantic.
    context_settings={"default_map": {"help": False}},
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the study file; repeatable."),
]


def main() -> None:
    """Run the program; every error of the user becomes a message and an exit code."""
    try:
        app()
    except SweeperError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", 128 + signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _fail(message: str, code: int) -> NoReturn:
    from sweeper.reports.words import clean

    for line in message.splitlines():
        # `clean` folds white space; a double space is a column's border.
        print("  ".join(map(clean, line.split("  "))), file=sys.stderr)
    sys.exit(code)


def _progress() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _show(*parts: object) -> None:
    from rich.console import Console

    console = Console()
    console.print(*parts, soft_wrap=False)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"sweeper {__version__}")
        raise typer.Exit


app.command()(diagnose)
app.command()(examine)
app.command()(bank)
app.command()(simulate)
app.add_typer(storage)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of all commands."""


@app.command()
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

        _show(preview(spec, forecast(spec)))
        return
    from sweeper.reports.live import StudyView
    from sweeper.search.runner import run_study
    from sweeper.search.signals import exit_code
    from sweeper.search.verifying import verify_study

    console = _progress()
    with StudyView(console) as view:
        outcome = run_study(spec, observe=view.observe, tell=view.tell)
        exhausted = outcome.exhausted
        if outcome.signal is None and not outcome.wall_clock_spent:
            verified = verify_study(spec, observe=view.observe, tell=view.tell)
            outcome = verified or outcome
    if outcome.signal is not None:
        _fail(
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
    if examine:
        examine_spikes(spec)
    _conclude(study, overrides, export=True)


@app.command()
def worker(study: StudyFile, overrides: Overrides = None) -> None:
    """Train trials of a study here, beside any other workers, until none is left to take."""
    from sweeper.reports.live import StudyView
    from sweeper.search.joining import join_study
    from sweeper.search.signals import exit_code
    from sweeper.study import load_study

    spec = load_study(study, overrides or [])
    console = _progress()
    with StudyView(console) as view:
        outcome = join_study(spec, observe=view.observe, tell=view.tell)
    if outcome.signal is not None:
        _fail(
            "left; its trials are kept to their last step, for the next worker to go on with",
            exit_code(outcome.signal, os.environ),
        )
    console.print(
        "The study's wall clock is spent."
        if outcome.wall_clock_spent
        else f"No trial is left to take. Judge and report them with: sweeper run {study}"
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
    made = []
    if export:
        from sweeper.search.export import export_best

        made += list(filter(None, [export_best(results)]))
    paths = write_report(results, spec.output_folder)
    attach_plot(store, paths.figures["val_loss"])
    made += [paths.html, paths.markdown, paths.csv, paths.ledger, *paths.figures.values()]
    _show(summary(results, [Path(os.path.relpath(path)) for path in made]))
    if results.best is None:
        raise NoCompletedTrialError(
            f"no trial of {spec.name} has completed yet; go on with: sweeper run {study}"
        )


@app.command()
def report(study: StudyFile, overrides: Overrides = None) -> None:
    """Write the report of a study as it stands: Markdown, HTML, figures, CSV."""
    _conclude(study, overrides, export=False)


@app.command()
def status(study: StudyFile, overrides: Overrides = None) -> None:
    """Show how far a study is, and what is running."""
    from sweeper.reports.terminal import status as status_view
    from sweeper.search.results import load_results
    from sweeper.search.store import StudyStore
    from sweeper.study import load_study

    spec = load_study(study, overrides or [])
    _show(status_view(load_results(StudyStore(spec, create=False))))


@app.command()
def validate(study: StudyFile, overrides: Overrides = None) -> None:
    """Check a study file: all problems at once, each with its line and column."""
    from sweeper.reports.words import clean
    from sweeper.study import load_study

    spec = load_study(study, overrides or [])
    print(f"{clean(study)}: a valid study of {spec.budget.trials} trials")


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from sweeper.study import study_json_schema

    print(json.dumps(study_json_schema(), indent=2))


@app.command()
def dashboard(
    study: StudyFile,
    overrides: Overrides = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 8080,
) -> None:
    """Start optuna-dashboard on a study, on this machine only."""
    from sweeper.search.dashboard import start_dashboard
    from sweeper.study import load_study

    process = start_dashboard(load_study(study, overrides or []), port)
    _progress().print(f"http://127.0.0.1:{port}/  (Ctrl-C ends it)")
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return
    if code:
        raise SweeperError(
            f"optuna-dashboard ended with code {code}; is port {port} taken? Try --port {port + 1}"
        )


@app.command()
def reproduce(
    study: StudyFile,
    overrides: Overrides = None,
    trial: Annotated[
        int | None, typer.Option(help="Number of the trial; the best one if not given.", min=0)
    ] = None,
) -> None:
    """Train a trial again from its manifest alone, and check that the result is the same."""
    from sweeper.reports.endings import verdict
    from sweeper.reports.live import RunView
    from sweeper.search.results import find_trial, load_results
    from sweeper.search.store import StudyStore
    from sweeper.study import load_study
    from sweeper.training.reproduction import reproduce as train_again

    spec = load_study(study, overrides or [])
    found = find_trial(load_results(StudyStore(spec, create=False)), trial)
    with RunView(_progress()) as view:
        again = train_again(found.folder, lambda point: view.observe(point, found.tokens))
    _show(verdict(found.number, again))
    if not again.is_same:
        raise typer.Exit(1)


@app.command()
def train(
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A hyperparameter, such as learning_rate=1e-3; repeatable. Environment "
            "variables of the same names in capitals (LEARNING_RATE) count as well.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A recipe.yaml with hyperparameters.", exists=True)
    ] = None,
    model: Annotated[str, typer.Option(envvar="MODEL", help="The base.")] = "builtin:tiny",
    data: Annotated[
        str, typer.Option(envvar="TRAINING_DATA", help="The corpus.")
    ] = "builtin:pydoc-qa",
    steps: Annotated[
        int | None, typer.Option(envvar="TRAINING_STEPS", min=1, help="Optimizer steps.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens, instead of steps (default: 240000).")
    ] = None,
    block_size: Annotated[
        int | None, typer.Option(envvar="BLOCK_SIZE", help="Tokens per block.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(envvar="BATCH_SIZE", help="Blocks per forward pass.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(envvar="LEARNING_RATE", help="Peak learning rate.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads (default: one per core).")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run; it resumes what lies there.")] = (
        Path("runs/train")
    ),
    manifest: Annotated[
        Path | None, typer.Option(help="Train exactly what this manifest.json records.")
    ] = None,
) -> None:
    """Train one recipe outside any study."""
    from sweeper.reports.endings import run_ending
    from sweeper.reports.live import RunView
    from sweeper.study import Hyperparameters, read_recipe, recipe_from
    from sweeper.training.record import is_command

    with RunView(_progress()) as view:
        if manifest is not None and is_command(manifest):
            from sweeper.training.command_again import run_command_manifest

            outcome = run_command_manifest(manifest, observe=view.observe)
            folder = manifest.parent
        elif manifest is not None:
            from sweeper.training.single import train_manifest

            outcome = train_manifest(manifest, observe=view.observe, report=view.tell)
            folder = manifest.parent
        else:
            flags = {
                "block_size": block_size,
                "batch_size": batch_size,
                "learning_rate": learning_rate,
            }
            given = [f"{name}={value!r}" for name, value in flags.items() if value is not None]
            start = read_recipe(recipe) if recipe else Hyperparameters()
            chosen = recipe_from(start, [*given, *(settings or [])], os.environ)
            # After the recipe: a typing error should not wait for torch.
            from sweeper.training.single import RunOrder, train_recipe

            order = RunOrder(
                recipe=chosen,
                model=model,
                data=data,
                steps=steps,
                tokens=tokens,
                threads=threads,
            )
            outcome = train_recipe(order, out, observe=view.observe, report=view.tell)
            folder = out
    _show(run_ending(outcome.curve, outcome.stop, Path(os.path.relpath(folder))))
    if outcome.stop.reason == "preempted":
        raise typer.Exit(130)
    if outcome.stop.reason != "completed" and manifest is None:
        raise typer.Exit(1)
