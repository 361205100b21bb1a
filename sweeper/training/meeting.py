"""Where processes wait for each other, so that all are measured at the same time."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from sweeper.errors import WorkerError

_LONGEST_WAIT_S = 60.0
_POLL_S = 0.002


class MeetingCancelled(Exception):
    """Somebody said stop."""


@dataclass(frozen=True)
class Meeting:
    """A place to wait.

    Attributes:
        folder: Of this meeting alone.
        num_partners: Processes that come.
        stop_file: When it appears, nobody waits any longer.
    """

    folder: Path
    num_partners: int
    stop_file: Path

    def wait(self, name: str) -> None:
        """Wait until all are here.

        Raises:
            MeetingCancelled: The stop file is there.
            WorkerError: Not all came within a minute.
        """
        here = self.folder / name
        here.mkdir(parents=True, exist_ok=True)
        (here / str(os.getpid())).touch()
        deadline = time.monotonic() + _LONGEST_WAIT_S
        while len([*here.iterdir()]) < self.num_partners:
            if self.stop_file.exists():
                raise MeetingCancelled
            if time.monotonic() > deadline:
                raise WorkerError(
                    f"only {len([*here.iterdir()])} of {self.num_partners} workers started within "
                    f"{_LONGEST_WAIT_S:.0f} s. Next: --set workers.count=1"
                )
            time.sleep(_POLL_S)
