"""Manifests as files: strict JSON, written whole, read with the place of what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sweeper.errors import CheckpointError
from sweeper.files import write_durably

_Model = TypeVar("_Model", bound=BaseModel)


def write_json(path: Path, record: BaseModel) -> None:
    """Write a record durably, in the place of an older one."""
    write_durably(path, (record.model_dump_json(indent=2, by_alias=True) + "\n").encode())


def read_json(path: Path, kind: type[_Model]) -> _Model:
    """Read a record of one kind.

    Raises:
        CheckpointError: There is none, or it is damaged or of another format.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: no manifest there ({error.strerror})") from error
    except ValidationError as error:
        first: Any = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"{path}: not a manifest that this version reads ({place}: {first['msg']})"
        ) from error
