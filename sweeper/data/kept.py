"""What was read in many files, kept for as long as none of them has changed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sweeper.files import cache_folder, write_durably

Rows = list[tuple[str, ...]]


def kept_rows(name: str, sources: Sequence[Path], read: Callable[[], Rows]) -> Rows:
    """Rows as they were read from these files before, or as they are read now.

    They are known by the names, sizes and times of the files, and by this Python. What is damaged
    is read anew, and where nothing can be kept it is read every time.

    Args:
        name: Of the file in the cache.
        sources: All that the rows depend on.
        read: Reads them.
    """
    path = cache_folder() / f"{name}-{_key(sources)}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_bytes())
        rows = [tuple(map(str, row)) for row in kept["rows"]]
        if kept["sha256"] == _digest(rows):
            return rows
    rows = read()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, json.dumps({"sha256": _digest(rows), "rows": rows}).encode())
    return rows


def _key(sources: Sequence[Path]) -> str:
    stats = [(str(path), path.stat()) for path in sources]
    known = [sys.version, [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]


def _digest(rows: Rows) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
