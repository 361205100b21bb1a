"""Files: writing so that a reader, or a crash, meets the old content or the new, never a part;
which encoding a file that somebody else wrote is in; and where what can be made again is kept.
"""

from __future__ import annotations

import codecs
import os
import tempfile
from pathlib import Path

# UTF-32-LE begins with the mark of UTF-16-LE, so the longer marks come first.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE_BYTES = 65_536
# Western text in UTF-16 has a NUL in nearly every character and next to none on the other side.
_MANY_NULS, _FEW_NULS = 0.4, 0.05


def _read_umask() -> int:
    """The process's mask. To read it is to set it for a moment, for all threads."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _read_umask()  # now, while there is one thread


def cache_folder() -> Path:
    """Where is kept what can be made again: `SWEEPER_CACHE`, else `sweeper` in the user's cache."""
    if own := os.environ.get("SWEEPER_CACHE"):
        return Path(own)
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "sweeper"


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file's content at once, and not before the new content is on the disk.

    Args:
        path: Its folder must exist.
        content: The whole new content.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's own entries, such as a rename in it, on the disk."""
    _sync(folder)


def sync_file(path: Path) -> None:
    """Put what was written to a file on the disk."""
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def find_encoding(raw: bytes) -> tuple[bytes, str]:
    """The byte order mark that bytes begin with, empty where there is none, and the encoding.

    UTF-16 without a mark is known by its NUL bytes; all else is taken for UTF-8.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return mark, encoding
    sample = raw[: min(len(raw), _SAMPLE_BYTES) // 2 * 2]
    if sample:
        even, odd = (sample[side::2].count(0) / (len(sample) / 2) for side in (0, 1))
        if odd >= _MANY_NULS and even <= _FEW_NULS:
            return b"", "utf-16-le"
        if even >= _MANY_NULS and odd <= _FEW_NULS:
            return b"", "utf-16-be"
    return b"", "utf-8"
