"""A recorded run's manifest, whatever trained it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol, Self

from sweeper.errors import CheckpointError


class Record(Protocol):
    """What a manifest can say without anybody knowing its kind."""

    def differences(self, now: Self) -> list[str]:
        """What the result came from and is another by now, a line each."""


def read_record(path: Path) -> Record:
    """Read a manifest of any kind; torch is imported only for one of our own engines.

    Raises:
        CheckpointError: There is none, or it is damaged or of another format.
    """
    if is_command(path):
        from sweeper.training.command_manifest import read_command_manifest

        return read_command_manifest(path)
    from sweeper.training.manifest import read_manifest

    return read_manifest(path)


def is_command(path: Path) -> bool:
    """Whether a manifest is that of a command.

    Raises:
        CheckpointError: It cannot be read, or is no manifest at all.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: no manifest there ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a manifest: {error}") from error
    return isinstance(content, dict) and content.get("kind") == "command"
