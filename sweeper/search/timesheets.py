"""How long a study's workers were at work: a file for each, kept up while it lives."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from types import TracebackType

from sweeper.files import write_durably
from sweeper.study import StudySpec

_FOLDER = "timesheets"


class Timesheet:
    """One worker's time, from its order to its leave: set-up, training, evaluation, waiting.

    `save` is called as often as leases are renewed, so a worker that is killed has at most that
    long forgotten.
    """

    def __init__(self, spec: StudySpec, owner: str) -> None:
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
        with suppress(OSError):  # a full disk has been told of by then
            self.save()

    def save(self) -> None:
        """Write down the time until now."""
        write_durably(self._path, f"{time.monotonic() - self._began}\n".encode())


def worker_seconds(spec: StudySpec) -> float:
    """Seconds at work of all workers that a study has had."""
    sheets = (spec.output_folder / _FOLDER).glob("*.seconds")
    return math.fsum(float(sheet.read_text()) for sheet in sheets)
