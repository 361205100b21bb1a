"""The command line: parse, call, print. Results go to stdout, progress to stderr."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from typing import Annotated

import typer

from sweeper import __version__
from sweeper.commands.diagnose import diagnose
from sweeper.commands.examine import examine
from sweeper.commands.replay import bank, simulate
from sweeper.commands.single import reproduce, train
from sweeper.commands.storage import storage
from sweeper.commands.study import dashboard, report, run, schema, status, validate, worker
from sweeper.commands.terms import fail
from sweeper.errors import SweeperError
from sweeper.search.workers.signals import leaving_at_once

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


def main() -> None:
    """Run the program; every error of the user becomes a message and an exit code."""
    # Else the interpreter looks for garbage among all of Optuna, pyplot and torch as it ends.
    atexit.register(gc.freeze)
    try:
        with leaving_at_once():
            app()
    except SweeperError as error:
        fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        fail("interrupted", 128 + signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"sweeper {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of all commands."""


for _command in (
    *(diagnose, examine, bank, simulate),
    *(run, worker, report, status, validate, schema, dashboard),
    *(reproduce, train),
):
    app.command()(_command)
app.add_typer(storage)
