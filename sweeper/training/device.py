"""Which device a run uses, in which precision, with how many threads."""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass
from typing import Any

import torch

from sweeper.errors import UsageError


@dataclass(frozen=True)
class Device:
    """Where and how a run computes; part of its manifest.

    Attributes:
        kind: `cpu`, `cuda` or `mps`.
        name: The hardware's own name.
        threads: CPU threads of torch.
    """

    kind: str
    name: str
    threads: int

    def as_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)


def find_device(threads: int, wanted: str = "auto") -> Device:
    """Choose cuda, mps or cpu, in this order, and pin torch's threads.

    Args:
        threads: CPU threads for torch, at least 1.
        wanted: `auto`, or one of the three.

    Raises:
        UsageError: The wanted device is not there.
    """
    torch.set_num_threads(threads)
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = next((k for k, yes in there.items() if yes), "cpu") if wanted == "auto" else wanted
    if kind != "cpu" and not there.get(kind, False):
        allowed = ", ".join([*(k for k, yes in there.items() if yes), "cpu", "auto"])
        raise UsageError(f"device: {wanted} is not available here (allowed: {allowed})")
    return Device(kind, _hardware_name(kind), torch.get_num_threads())


def _hardware_name(kind: str) -> str:
    if kind == "cuda":
        return torch.cuda.get_device_name()
    return f"{kind} {torch.backends.cpu.get_cpu_capability()}"


def seed_everything(seed: int) -> None:
    """Seed every generator of torch, on every device."""
    torch.manual_seed(seed)


def use_deterministic_kernels() -> None:
    """Ask for kernels that give the same bits each time; those without one only warn."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Not `use_deterministic_algorithms`, which also imports the compiler: seconds a process.
    torch.set_deterministic_debug_mode("warn")
    torch.backends.cudnn.benchmark = False


def resolve_precision(precision: str, device: Device) -> str:
    """`auto` is bf16 on a GPU that has it, else fp32."""
    if precision != "auto":
        return precision
    if device.kind == "cuda" and torch.cuda.is_bf16_supported():
        return "bf16"
    return "fp32"


def autocast(device: Device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """The context for forward passes: bf16 by autocast, or nothing for fp32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.kind, dtype=torch.bfloat16)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception is a device or the host refusing memory.

    CUDA has a type of its own; CPU and MPS allocators raise a RuntimeError.
    """
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text
        or "out of memory" in text.lower()
        or "Invalid buffer size" in text  # MPS
    )


def release_memory(device: Device) -> None:
    """Give cached blocks back to the device after it ran out."""
    if device.kind == "cuda":
        torch.cuda.empty_cache()
    elif device.kind == "mps":
        torch.mps.empty_cache()
