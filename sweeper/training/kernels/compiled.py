"""The compiled row operations, on tensors."""

from __future__ import annotations

import ctypes
from typing import Any

import torch

from sweeper.training.kernels.rows import Rows
from sweeper.training.kernels.sharing import INTEGER, NUMBER, POINTER, address_of, share_out

_ARGUMENTS = {
    "gelu": (POINTER,) * 2 + (INTEGER,),
    "gelu_backward": (POINTER,) * 3 + (INTEGER,),
    "add_norm": (POINTER,) * 4 + (NUMBER,) + (POINTER,) * 4 + (INTEGER,) * 2,
    "add_norm_backward": (POINTER,) * 8 + (INTEGER,) * 2,
    "softmax": (POINTER,) * 2 + (NUMBER,) + (INTEGER,) * 4,
    "cross_entropy": (POINTER,) * 4 + (INTEGER,) * 2,
}
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


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

    def gelu(self, x_ND: torch.Tensor) -> torch.Tensor:
        """See `Rows`."""
        return self._each("gelu", x_ND)

    def gelu_backward(self, x_ND: torch.Tensor, dy_ND: torch.Tensor) -> torch.Tensor:
        """See `Rows`."""
        return self._each("gelu_backward", x_ND, dy_ND)

    def _each(self, name: str, *given_ND: torch.Tensor) -> torch.Tensor:
        """A kernel that makes one number of the numbers at its place."""
        made_ND = torch.empty_like(given_ND[0])
        kernel = self._kernels[name]

        def run(start: int, stop: int) -> None:
            places = [address_of(tensor_ND, start) for tensor_ND in (*given_ND, made_ND)]
            kernel(*places, (stop - start) * made_ND.shape[1])

        share_out(len(made_ND), made_ND.numel(), run)
        return made_ND

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
                address_of(stream_ND, start),
                address_of(added_ND, start),
                address_of(weight_D),
                address_of(bias_D),
                epsilon,
                address_of(sum_ND, start),
                address_of(normed_ND, start),
                address_of(mean_N, start),
                address_of(rstd_N, start),
                stop - start,
                width,
            )

        share_out(len(stream_ND), stream_ND.numel(), run)
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
                address_of(sum_ND, start),
                address_of(weight_D),
                address_of(mean_N, start),
                address_of(rstd_N, start),
                address_of(d_normed_ND, start),
                address_of(d_sum_ND, start),
                address_of(d_stream_ND, start),
                address_of(d_added_ND, start),
                stop - start,
                sum_ND.shape[1],
            )

        share_out(len(sum_ND), sum_ND.numel(), run)
        return d_stream_ND, d_added_ND

    def softmax(self, scores_PQL: torch.Tensor, scale: float, first: int) -> torch.Tensor:
        """See `Rows`."""
        _, num_queries, num_keys = scores_PQL.shape
        probabilities_PQL = torch.empty(scores_PQL.shape, dtype=self._dtype)
        kernel = self._kernels["softmax"]

        def run(start: int, stop: int) -> None:
            kernel(
                address_of(scores_PQL, start),
                address_of(probabilities_PQL, start),
                scale,
                stop - start,
                num_queries,
                num_keys,
                first,
            )

        share_out(len(scores_PQL), scores_PQL.numel(), run)
        return probabilities_PQL

    def cross_entropy(
        self, logits_NV: torch.Tensor, targets_N: torch.Tensor, weights_N: torch.Tensor | None
    ) -> torch.Tensor:
        """See `Rows`."""
        losses_N = torch.empty(len(logits_NV))
        kernel = self._kernels["cross_entropy"]

        def run(start: int, stop: int) -> None:
            kernel(
                address_of(logits_NV, start),
                address_of(targets_N, start),
                address_of(weights_N, start),
                address_of(losses_N, start),
                stop - start,
                logits_NV.shape[1],
            )

        share_out(len(logits_NV), logits_NV.numel(), run)
        return losses_N
