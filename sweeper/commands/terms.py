"""What the commands have in common: their arguments, and the two ways in which they speak.

Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:  # `diagnose` prints without it, and is to answer at once
    from rich.console import Console

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the study file; repeatable."),
]


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong, and leave with an exit code."""
    from sweeper.reports.words import clean

    for line in message.splitlines():
        # `clean` folds white space; a double space is a column's border.
        print("  ".join(map(clean, line.split("  "))), file=sys.stderr)
    sys.exit(code)


def progress_console() -> Console:
    """Where progress is shown."""
    from rich.console import Console

    return Console(stderr=True)


def show(*parts: object) -> None:
    """Print a result."""
    from rich.console import Console

    Console().print(*parts, soft_wrap=False)
