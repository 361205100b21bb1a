"""Whose state of a trial a folder of this machine has: a file in it says so.

A folder goes on from what the storage records where the same worker has written both. Where it is
another's, somebody elsewhere has gone on since.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from sweeper.files import write_durably

_FILE = "origin.json"


@dataclass(frozen=True)
class Origin:
    """Where a trial's files are from.

    Attributes:
        owner: The worker that trained it here, or whose archive was fetched.
        archive: Name of the newest archive that is known to hold the same; empty: none.
    """

    owner: str
    archive: str = ""


def read_origin(folder: Path) -> Origin | None:
    """Of a trial's folder; None where it does not say."""
    try:
        return Origin(**json.loads((folder / _FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def keep_origin(folder: Path, origin: Origin) -> None:
    """Write it down durably.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / _FILE, json.dumps(asdict(origin)).encode())
