"""The machine's own peak: matrix products in fp32 and bf16, the best of several sizes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import torch

_CPU_SIZES = (256, 512, 1024, 2048)
_CUDA_SIZES = (2048, 4096, 8192)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_MIN_S = 0.3
_MOST_S = 4.0  # of one product; larger ones would say the same in minutes


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The peak of every precision with one thread and with all, in FLOP/s."""
    cores = os.cpu_count() or 1
    return {
        f"{dtype}/{threads}": peak(dtype, threads)
        for dtype in _DTYPES
        for threads in sorted({1, cores})
    }


def peak(dtype: str, threads: int) -> float:
    """The best rate over square matrices of several sizes, in FLOP/s."""
    best = 0.0
    for size in _CUDA_SIZES if torch.cuda.is_available() else _CPU_SIZES:
        if best and 2 * size**3 / best > _MOST_S:
            break
        best = max(best, rate(size, dtype, threads))
    return best


def rate(size: int, dtype: str, threads: int) -> float:
    """FLOP/s of a square matrix product: the best of some, after one that is not counted."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(0)
    left, right = (
        torch.randn(size, size, generator=generator, device=device).to(_DTYPES[dtype])
        for _ in range(2)
    )
    try:
        _product_s(left, right)
        seconds = [_product_s(left, right)]
        began = time.perf_counter()
        while time.perf_counter() - began < _MIN_S:
            seconds.append(_product_s(left, right))
    finally:
        torch.set_num_threads(before)
    return 2 * size**3 / min(seconds)


def _product_s(left: torch.Tensor, right: torch.Tensor) -> float:
    began = time.perf_counter()
    left @ right
    if left.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began
