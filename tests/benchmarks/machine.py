"""The machine that the numbers are from."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "optuna", "numpy")


def describe_machine() -> dict[str, Any]:
    """Processor, memory, device and versions, as JSON-able data without names or paths."""
    import torch

    cuda = torch.cuda.is_available()
    flags = _cpu_flags()
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "cpu_flags": [flag for flag in _FLAGS if flag in flags],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if cuda else None,
        "has_bf16": torch.cuda.is_bf16_supported() if cuda else bool(_BF16 & set(flags)),
        "load_average": round(os.getloadavg()[0], 2),
    }


_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}


def _cpu_name() -> str:
    return _cpuinfo().get("model name") or platform.processor() or "unknown"


def _cpu_flags() -> list[str]:
    info = _cpuinfo()
    return (info.get("flags") or info.get("Features") or "").split()


def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}
