"""Which implementation of `Rows` there is for numbers of a type, where they lie."""

from __future__ import annotations

from functools import lru_cache

import torch

from sweeper.training.kernels.build import load_kernels
from sweeper.training.kernels.compiled import TYPES, CompiledRows
from sweeper.training.kernels.plain import PlainRows
from sweeper.training.kernels.rows import Rows


@lru_cache(maxsize=8)
def rows_on(device: torch.device, dtype: torch.dtype) -> Rows:
    """The compiled kernels on a CPU that has them, else torch's operations."""
    compiled = load_kernels() if device.type == "cpu" and dtype in TYPES else None
    return PlainRows(dtype) if compiled is None else CompiledRows(compiled, dtype)


def kernels_on(device: torch.device) -> str:
    """Whose kernels a device has: `compiled` ones of ours, or torch's."""
    return "compiled" if isinstance(rows_on(device, torch.float32), CompiledRows) else "torch"
