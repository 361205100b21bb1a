"""How long a study's workers were at work: a file for each, kept up while it lives."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from optuna.exceptions import StorageInternalError

from sweeper.files import write_durably
from sweeper.search import attributes as attrs
from sweeper.study import StudySpec

_FOLDER = "timesheets"


class Timesheet:
    """One worker's time, from its order to its leave: set-up, training, evaluation, waiting.

    `save` is called as often as leases are renewed, so a worker that is killed has at most that
    long forgotten.

    Args:
        spec: The study.
        owner: The worker's name.
        tell: Told the seconds whenever they are written down.
    """

    def __init__(
        self, spec: StudySpec, owner: str, tell: Callable[[float], None] = lambda _: None
    ) -> None:
        self._tell = tell
        self._path = spec.output_folder / _FOLDER / f"{owner}.seconds"
        self._began = time.monotonic()

    def __enter__(self) -> Timesheet:
        self._path.parent.mkdir(exist_ok=True)
        self.save()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError, StorageInternalError):  # which have been told of by then
            self.save()

    def save(self) -> None:
        """Write down the time until now."""
        seconds = time.monotonic() - self._began
        write_durably(self._path, f"{seconds}\n".encode())
        self._tell(seconds)


def worker_seconds(spec: StudySpec, told: Mapping[str, Any] | None = None) -> float:
    """Seconds at work of all workers that a study has had.

    Args:
        spec: The study.
        told: The study's attributes, where workers elsewhere tell theirs.
    """
    sheets = (spec.output_folder / _FOLDER).glob("*.seconds")
    seconds = {sheet.stem: float(sheet.read_text()) for sheet in sheets}
    for name, told_s in (told or {}).items():
        if name.startswith(attrs.WORKER_SECONDS):
            owner = name.removeprefix(attrs.WORKER_SECONDS)
            seconds[owner] = max(seconds.get(owner, 0.0), float(told_s))
    return math.fsum(seconds.values())
