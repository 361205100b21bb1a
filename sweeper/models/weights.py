"""Tensors on disk, looked at without loading a model: names, shapes, and a sample of the values.

Reads the safetensors format itself (https://github.com/huggingface/safetensors, section Format),
because the library's NumPy side knows no bfloat16, in which most weights are kept today.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.errors import BaseError

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_MOST_HEADER_BYTES = 100_000_000  # the format's own limit
_SAMPLED_ROWS = 256


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies.

    Attributes:
        path: Its file.
        dtype: As the format names it: `F32`, `BF16`, ...
        shape: Its lengths.
        start_bytes: Its first byte in the file.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start_bytes: int

    def sample(self) -> NDArray[np.float64] | None:
        """Values of at most 256 rows, evenly spaced; None for a format without plain floats."""
        if self.dtype not in _DTYPES or not math.prod(self.shape):
            return None
        rows = self.shape[0] if self.shape else 1
        stored = np.memmap(
            self.path,
            dtype=_DTYPES[self.dtype],
            mode="r",
            offset=self.start_bytes,
            shape=(rows, math.prod(self.shape) // rows),
        )
        part = np.array(stored[:: max(rows // _SAMPLED_ROWS, 1)])
        if self.dtype == "BF16":  # the upper half of a float32
            part = (part.astype(np.uint32) << 16).view(np.float32)
        return part.astype(np.float64).ravel()


def list_tensors(folder: Path) -> Mapping[str, StoredTensor]:
    """All tensors of a folder's safetensors files, by name.

    Raises:
        BaseError: A file is damaged.
    """
    tensors: dict[str, StoredTensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= _list_file(path)
    return tensors


def _list_file(path: Path) -> dict[str, StoredTensor]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _MOST_HEADER_BYTES:
                raise ValueError("its header is too long")
            content = file.read(length)
        if len(content) < length:
            raise ValueError("it ends inside of its header")
        header = json.loads(content)
        size = path.stat().st_size
        tensors = {
            name: _entry(path, entry, 8 + length, size)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except OSError as error:
        raise BaseError(f"model: {path.name} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BaseError(
            f"model: {path.name} is not a whole safetensors file ({error}); save or download it "
            "again"
        ) from error
    return tensors


def _entry(path: Path, entry: dict[str, Any], data_start: int, size: int) -> StoredTensor:
    start, end = (int(place) for place in entry["data_offsets"])
    shape = tuple(int(length) for length in entry["shape"])
    if not 0 <= start <= end or data_start + end > size:
        raise ValueError(f"it ends before its tensors do, at {size:,} bytes")
    return StoredTensor(path, str(entry["dtype"]), shape, data_start + start)
