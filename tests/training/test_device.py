"""Devices, precision, and what counts as a lack of memory."""

from __future__ import annotations

import pytest
import torch

from sweeper.errors import UsageError
from sweeper.training.device import (
    Device,
    autocast,
    find_device,
    is_out_of_memory,
    resolve_precision,
    seed_everything,
    use_deterministic_kernels,
)

CPU = Device("cpu", "cpu AVX2", 1)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: "
                "can't allocate memory: you tried to allocate 8 bytes"
            ),
            True,
        ),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("Invalid buffer size: 12.00 GiB"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
        (OSError(28, "No space left on device"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_is_out_of_memory(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_refused_allocation_of_the_host_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_precision_is_resolved_for_the_device() -> None:
    assert resolve_precision("auto", CPU) == "fp32"
    assert resolve_precision("bf16", CPU) == "bf16"
    assert resolve_precision("fp32", CPU) == "fp32"
    assert resolve_precision("auto", Device("mps", "mps", 1)) == "fp32"


def test_bf16_is_the_arithmetic_inside_autocast_alone() -> None:
    one = torch.ones(2, 2)
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with autocast(CPU, precision):
            assert (one @ one).dtype == dtype
    assert (one @ one).dtype == torch.float32


def test_cpu_is_found_with_its_threads() -> None:
    device = find_device(1, "cpu")
    assert (device.kind, device.threads) == ("cpu", 1)
    assert torch.get_num_threads() == 1
    assert device.as_dict() == {"kind": "cpu", "name": device.name, "threads": 1}


def test_auto_finds_what_is_there() -> None:
    expected = "cuda" if torch.cuda.is_available() else None
    expected = expected or ("mps" if torch.backends.mps.is_available() else "cpu")
    assert find_device(1).kind == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_missing_device_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(UsageError, match=r"cuda is not available here \(allowed: .*cpu, auto\)"):
        find_device(1, "cuda")


def test_unknown_device_is_refused() -> None:
    with pytest.raises(UsageError, match="tpu is not available"):
        find_device(1, "tpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_says_its_name_and_takes_bf16_where_it_has_it() -> None:
    device = find_device(1, "cuda")
    assert device.name == torch.cuda.get_device_name()
    has_bf16 = torch.cuda.is_bf16_supported()
    assert resolve_precision("auto", device) == ("bf16" if has_bf16 else "fp32")


def test_seeds_and_deterministic_kernels() -> None:
    seed_everything(5)
    one = torch.rand(3)
    seed_everything(5)
    assert torch.equal(one, torch.rand(3))
    use_deterministic_kernels()
    assert torch.are_deterministic_algorithms_enabled()
