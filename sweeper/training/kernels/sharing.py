"""Addresses of tensors, and as many rows in each thread as torch would give it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

POINTER, INTEGER, NUMBER = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
_LEAST_NUMBERS = 1 << 16  # for which another thread is worth waking


def address_of(tensor: torch.Tensor | None, row: int = 0) -> int | None:
    """The address of a row; None, a null pointer, for nothing."""
    if tensor is None:
        return None
    assert tensor.is_contiguous(), "kernels know of no strides"
    address: int = tensor.data_ptr() + row * tensor.stride(0) * tensor.element_size()
    return address


def share_out(num_rows: int, num_numbers: int, run: Callable[[int, int], None]) -> None:
    """Have all rows treated, from one to before another at a time.

    Args:
        num_rows: How many there are.
        num_numbers: In all of them: few are not worth sharing.
        run: Treats some.
    """
    threads = min(torch.get_num_threads(), num_numbers // _LEAST_NUMBERS, num_rows)
    if threads <= 1:
        run(0, num_rows)
        return
    ends = [num_rows * part // threads for part in range(threads + 1)]
    others = [_helpers(os.getpid()).submit(run, *ends[n : n + 2]) for n in range(1, threads)]
    run(0, ends[1])
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _helpers(process: int) -> ThreadPoolExecutor:
    """Threads of this process: what a fork has of its parent's do not run."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix=f"rows-{process}")
