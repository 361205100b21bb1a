"""Where a command's program is found."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from sweeper.errors import UsageError
from sweeper.study import CommandEngine

_ACTIVE = ("VIRTUAL_ENV", "CONDA_PREFIX")


def search_path() -> str:
    """The PATH on which a command's program is looked for.

    Where no environment is active, that of sweeper itself comes first: `python` is then the one
    that has sweeper's own packages, as if somebody had activated it.
    """
    path = os.environ.get("PATH", os.defpath)
    if any(os.environ.get(name) for name in _ACTIVE):
        return path
    return os.pathsep.join([str(Path(sys.executable).parent), path])


def check_command(engine: CommandEngine, folder: Path) -> None:
    """Refuse a command that cannot be started on this machine.

    Raises:
        UsageError: Its program is not there, or may not be run.
    """
    program = engine.command[0]
    if "/" not in program:
        if shutil.which(program, path=search_path()) is None:
            raise UsageError(
                f"engine.command: there is no program {program} on this machine's PATH "
                "(allowed: one that is, or a path). Next: activate the environment in which "
                f"`{engine.line}` works, then run the study"
            )
        return
    path = (folder / program).absolute()  # joined to `.`, `./go.sh` would lose its slash
    if not path.is_file():
        raise UsageError(f"engine.command: there is no file {program} beside the study file")
    if shutil.which(str(path)) is None:
        raise UsageError(
            f"engine.command: {program} may not be run (next: chmod +x {program}, or name the "
            "program that runs it, such as `sh` or `python`)"
        )
