"""What takes a while to make, kept in the cache while all that it was made from stays the same."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweeper.files import cache_folder, write_durably

MOST_FILES = 64  # of a name, the latest in use: machines and versions come and go


def kept(name: str, made_from: Any, make: Callable[[], Any]) -> Any:
    """A value as it was made from the same before, or as it is made now.

    What is damaged is made anew, and where nothing can be kept it is made every time. Of several
    who make it at a time, the later ones take what the first has kept.

    The cache forgets what has not been in use for the longest beyond MOST_FILES of a name.

    Args:
        name: Of the file in the cache.
        made_from: All that the value depends on; JSON.
        make: Makes the value, of what JSON has: a tuple comes back as a list.
    """
    path = cache_folder() / f"{name}-{_digest(made_from)[:16]}.json"
    if (known := _read(path)) is not None:
        return known["value"]
    value = json.loads(json.dumps(make()))
    if (known := _read(path)) is not None:
        return known["value"]
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, json.dumps({"sha256": _digest(value), "value": value}).encode())
        _forget_beside(path)
    return value


def _forget_beside(path: Path) -> None:
    name, _, digest = path.stem.rpartition("-")
    alike = path.parent.glob(f"{glob.escape(name)}-{'[0-9a-f]' * len(digest)}.json")
    used_at = {}
    for file in alike:
        with suppress(OSError):  # another has forgotten it meanwhile
            used_at[file] = file.stat().st_mtime
    for file in sorted(used_at, key=used_at.__getitem__)[:-MOST_FILES]:
        file.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    """What a file of the cache has, if it is sound."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        known: dict[str, Any] = json.loads(path.read_bytes())
        if known["sha256"] == _digest(known["value"]):
            _note_use(path)
            return known
    return None


def _note_use(path: Path) -> None:
    with suppress(OSError):  # a cache that is only read
        os.utime(path)


def stamps(paths: Sequence[Path]) -> list[tuple[str, int, int]]:
    """By what files are known as `made_from` without being read: name, size and time.

    Raises:
        OSError: One is not there.
    """
    stats = [(str(path), path.stat()) for path in paths]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
