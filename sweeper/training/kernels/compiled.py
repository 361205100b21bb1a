"""The compiled kernels on tensors: as many rows in each thread as torch would give it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch

from sweeper.training.kernels.rows import Rows

_POINTER, _INTEGER, _NUMBER = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
_ARGUMENTS = {
    "gelu": (_POINTER,) * 3 + (_INTEGER,),
    "add_norm": (_POINTER,) * 4 + (_NUMBER,) + (_POINTER,) * 4 + (_INTEGER,) * 2,
    "add_norm_backward": (_POINTER,) * 8 + (_INTEGER,) * 2,
    "softmax": (_POINTER,) * 2 + (_NUMBER,) + (_INTEGER,) * 4,
    "cross_entropy": (_POINTER,) * 4 + (_INTEGER,) * 2,
}
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16"}
_LEAST_NUMBERS = 1 << 16  # for which another thread is worth waking


class CompiledRows(Rows):
    """`rows.cpp` for numbers of a type, on contiguous tensors.

    Args:
        library: As it was built.
        dtype: One of `TYPES`.
    """

    def __init__(self, library: ctypes.CDLL, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._kernels: dict[str, Any] = {}
        for name, arguments in _ARGUMENTS.items():
            kernel = getattr(library, f"{name}_{TYPES[dtype]}")
            kernel.argtypes, kernel.restype = arguments, None
            self._kernels[name] = kernel

    def gelu(
        self, x_ND: torch.Tensor, *, wants_slope: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See `Rows`."""
        y_ND, slope_ND = torch.empty_like(x_ND), torch.empty_like(x_ND) if wants_slope else None
        kernel = self._kernels["gelu"]

        def run(start: int, stop: int) -> None:
            count = (stop - start) * x_ND.shape[1]
            kernel(_at(x_ND, start), _at(y_ND, start), _at(slope_ND, start), count)

        _share_out(x_ND, run)
        return y_ND, slope_ND

    def add_norm(
        self,
        stream_ND: torch.Tensor,
        added_ND: torch.Tensor | None,
        weight_D: torch.Tensor,
        bias_D: torch.Tensor,
        epsilon: float,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `Rows`."""
        num_rows, width = stream_ND.shape
        sum_ND = stream_ND if added_ND is None else torch.empty_like(stream_ND)
        normed_ND = torch.empty(num_rows, width, dtype=self._dtype)
        mean_N, rstd_N = torch.empty(num_rows), torch.empty(num_rows)
        kernel = self._kernels["add_norm"]

        def run(start: int, stop: int) -> None:
            kernel(
                _at(stream_ND, start),
                _at(added_ND, start),
                _at(weight_D),
                _at(bias_D),
                epsilon,
                _at(sum_ND, start),
                _at(normed_ND, start),
                _at(mean_N, start),
                _at(rstd_N, start),
                stop - start,
                width,
            )

        _share_out(stream_ND, run)
        return sum_ND, normed_ND, mean_N, rstd_N

    def add_norm_backward(
        self,
        saved: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
        d_normed_ND: torch.Tensor,
        d_sum_ND: torch.Tensor | None,
        *,
        wants_added: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See `Rows`."""
        sum_ND, weight_D, mean_N, rstd_N = saved
        d_stream_ND = torch.empty_like(sum_ND)
        d_added_ND = torch.empty_like(d_normed_ND) if wants_added else None
        kernel = self._kernels["add_norm_backward"]

        def run(start: int, stop: int) -> None:
            kernel(
                _at(sum_ND, start),
                _at(weight_D),
                _at(mean_N, start),
                _at(rstd_N, start),
                _at(d_normed_ND, start),
                _at(d_sum_ND, start),
                _at(d_stream_ND, start),
                _at(d_added_ND, start),
                stop - start,
                sum_ND.shape[1],
            )

        _share_out(sum_ND, run)
        return d_stream_ND, d_added_ND

    def softmax(self, scores_PQL: torch.Tensor, scale: float, first: int) -> torch.Tensor:
        """See `Rows`."""
        _, num_queries, num_keys = scores_PQL.shape
        probabilities_PQL = torch.empty(scores_PQL.shape, dtype=self._dtype)
        kernel = self._kernels["softmax"]

        def run(start: int, stop: int) -> None:
            kernel(
                _at(scores_PQL, start),
                _at(probabilities_PQL, start),
                scale,
                stop - start,
                num_queries,
                num_keys,
                first,
            )

        _share_out(scores_PQL, run)
        return probabilities_PQL

    def cross_entropy(
        self, logits_NV: torch.Tensor, targets_N: torch.Tensor, weights_N: torch.Tensor | None
    ) -> torch.Tensor:
        """See `Rows`."""
        losses_N = torch.empty(len(logits_NV))
        kernel = self._kernels["cross_entropy"]

        def run(start: int, stop: int) -> None:
            kernel(
                _at(logits_NV, start),
                _at(targets_N, start),
                _at(weights_N, start),
                _at(losses_N, start),
                stop - start,
                logits_NV.shape[1],
            )

        _share_out(logits_NV, run)
        return losses_N


def _at(tensor: torch.Tensor | None, row: int = 0) -> int | None:
    """The address of a row; None, a null pointer, for nothing."""
    if tensor is None:
        return None
    assert tensor.is_contiguous(), "kernels know of no strides"
    address: int = tensor.data_ptr() + row * tensor.stride(0) * tensor.element_size()
    return address


def _share_out(rows: torch.Tensor, run: Callable[[int, int], None]) -> None:
    """Have all rows treated, from one to before another at a time."""
    num_rows = len(rows)
    threads = min(torch.get_num_threads(), rows.numel() // _LEAST_NUMBERS, num_rows)
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
