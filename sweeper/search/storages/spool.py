"""What could not be sent to a server that was away: kept in the study's folder until it is back.

Only what a trial's holder says of it is kept, its losses and its end. Nobody takes a trial by the
spool: a claim needs the study's lock, which is the server's, and waits for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeper.curves import Stop, StopReason
from sweeper.files import sync_folder
from sweeper.search.outcomes import Result
from sweeper.search.storages.exclusion import FileExclusion


@dataclass(frozen=True)
class Note:
    """One thing that a trial's holder had to say.

    Attributes:
        number: The trial's.
        owner: The holder's.
        losses: Validation loss at tokens seen.
        result: How it ended; None: it goes on.
    """

    number: int
    owner: str
    losses: tuple[tuple[int, float], ...] = ()
    result: Result | None = None

    def as_line(self) -> bytes:
        """A line of the spool."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Note | None:
        """The note in a line of the spool; None for half a line, of a writer that died."""
        try:
            plain: dict[str, Any] = json.loads(line)
        except ValueError:
            return None
        result = plain["result"]
        if result is not None:
            stop = result.pop("stop")
            result = Result(Stop(StopReason(stop["reason"]), stop["evidence"]), **result)
        losses = tuple((int(tokens), float(loss)) for tokens, loss in plain["losses"])
        return cls(plain["number"], plain["owner"], losses, result)


class Spool:
    """The notes of all workers that share the study's folder.

    Args:
        folder: The study's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "spool.jsonl"
        self._exclusion = FileExclusion(folder / "spool.lock")

    def keep(self, note: Note) -> None:
        """Write a note down; it is on the disk when this returns.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        with self._exclusion.held(""), self._path.open("ab") as file:
            file.write(b"\n" + note.as_line())  # half a note of another stays a line of its own
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._path.parent)

    def send(self, send: Callable[[Note], object]) -> None:
        """Send all notes in their order, and forget them; a failure keeps them all.

        Args:
            send: Must be safe to do twice.
        """
        if not self._path.exists():
            return
        with self._exclusion.held(""):
            for note in self._notes():
                send(note)
            self._path.unlink(missing_ok=True)

    def _notes(self) -> Iterator[Note]:
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        for line in filter(None, lines):
            if (note := Note.read(line)) is not None:
                yield note
