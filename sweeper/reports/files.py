"""Writing the files of a report."""

from __future__ import annotations

from pathlib import Path

from sweeper.errors import StorageError
from sweeper.files import write_durably


def replace_file(path: Path, content: str | bytes) -> Path:
    """Write a file whole, through a temporary neighbour; makes its folder.

    Raises:
        StorageError: The folder cannot be made or the file cannot be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, data)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot write the report ({error.strerror}); "
            "free space or change the folder's permissions, then run the report again"
        ) from error
    return path
