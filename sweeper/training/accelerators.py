"""Whether there is a device beside the CPU; torch is asked only where there may be one."""

from __future__ import annotations

import sys
from pathlib import Path

_DEVICE_FILES = ("nvidia[0-9]*", "dxg", "kfd")  # of CUDA, of CUDA under WSL, of ROCm


def has_accelerator() -> bool:
    """Whether torch can train on CUDA, ROCm or MPS here."""
    if sys.platform == "linux" and not _has_device_file(Path("/dev")):
        return False  # loading torch to hear the same takes a second
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _has_device_file(folder: Path) -> bool:
    return any(next(folder.glob(pattern), None) is not None for pattern in _DEVICE_FILES)
