"""The same as the compiled kernels, in torch's operations: for a GPU, or without a compiler."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch.nn import functional

from sweeper.training.kernels.rows import Rows

_GELU_SLOPE = 2 * math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715
_GELU_NUMBERS = 1 << 18  # at a time in fp32 where they are bf16: they stay in the cache


class PlainRows(Rows):
    """torch's operations, on any device.

    Args:
        dtype: Of what goes into matrix products.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def gelu(self, x_ND: torch.Tensor) -> torch.Tensor:
        """See `Rows`."""
        return _in_fp32(_gelu, x_ND)

    def gelu_backward(self, x_ND: torch.Tensor, dy_ND: torch.Tensor) -> torch.Tensor:
        """See `Rows`."""
        return _in_fp32(_gelu_backward, x_ND, dy_ND)

    def add_norm(
        self,
        stream_ND: torch.Tensor,
        added_ND: torch.Tensor | None,
        weight_D: torch.Tensor,
        bias_D: torch.Tensor,
        epsilon: float,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `Rows`."""
        sum_ND = stream_ND if added_ND is None else stream_ND + added_ND
        normed_ND, mean_N, rstd_N = torch.native_layer_norm(
            sum_ND, sum_ND.shape[1:], weight_D, bias_D, epsilon
        )
        return sum_ND, normed_ND.to(self._dtype), mean_N, rstd_N

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
        d_stream_ND: torch.Tensor = torch.ops.aten.native_layer_norm_backward(
            d_normed_ND.float(),
            sum_ND,
            sum_ND.shape[1:],
            mean_N,
            rstd_N,
            weight_D,
            None,
            [True, False, False],
        )[0]
        if d_sum_ND is not None:
            d_stream_ND += d_sum_ND
        return d_stream_ND, d_stream_ND.to(self._dtype) if wants_added else None

    def softmax(self, scores_PQL: torch.Tensor, scale: float, first: int) -> torch.Tensor:
        """See `Rows`."""
        _, num_queries, num_keys = scores_PQL.shape
        mask_QL = _causal_mask(num_queries, num_keys, first, scores_PQL.device)
        scores_PQL = torch.add(mask_QL, scores_PQL, alpha=scale)
        return torch.softmax(scores_PQL, dim=-1).to(self._dtype)

    def cross_entropy(
        self, logits_NV: torch.Tensor, targets_N: torch.Tensor, weights_N: torch.Tensor | None
    ) -> torch.Tensor:
        """See `Rows`."""
        exact_NV = logits_NV.float()
        if weights_N is None:
            return functional.cross_entropy(exact_NV, targets_N, reduction="none")
        # One exponential for the loss and for its gradient, softmax - one-hot.
        targets_N1, weights_N1 = targets_N[:, None], weights_N[:, None]
        exact_NV -= exact_NV.amax(1, keepdim=True)
        wanted_N1 = exact_NV.gather(1, targets_N1)
        total_N1 = exact_NV.exp_().sum(1, keepdim=True)
        exact_NV *= weights_N1 / total_N1
        exact_NV.scatter_(1, targets_N1, exact_NV.gather(1, targets_N1) - weights_N1)
        if exact_NV is not logits_NV:
            logits_NV.copy_(exact_NV)
        return (total_N1.log() - wanted_N1).squeeze(1)


def _in_fp32(operation: Callable[..., torch.Tensor], *given_ND: torch.Tensor) -> torch.Tensor:
    """An operation on each number, computed in fp32, as many at a time as stay in the cache."""
    first_ND = given_ND[0]
    if first_ND.dtype == torch.float32:
        return operation(*given_ND)
    made_ND = torch.empty_like(first_ND)
    for start in range(0, len(first_ND), size := max(_GELU_NUMBERS // first_ND.shape[1], 1)):
        rows = slice(start, start + size)
        made_ND[rows] = operation(*(tensor_ND[rows].float() for tensor_ND in given_ND))
    return made_ND


def _gelu(x: torch.Tensor) -> torch.Tensor:
    return _gelu_gate(x, x * x).mul_(x)


def _gelu_backward(x: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
    # With z the argument of tanh: gate + x gate (1 - gate) (2z)' = gate (1 + (x - y) (2z)')
    square = x * x
    gate = _gelu_gate(x, square)
    slope = square.mul_(3 * _GELU_SLOPE * _GELU_CUBIC).add_(_GELU_SLOPE)
    return slope.mul_(torch.addcmul(x, x, gate, value=-1)).add_(1).mul_(gate).mul_(dy)


def _gelu_gate(x: torch.Tensor, square: torch.Tensor) -> torch.Tensor:
    """`0.5 (1 + tanh z)` as `sigmoid(2 z)`, whose kernel takes less time."""
    return (square * (_GELU_SLOPE * _GELU_CUBIC)).add_(_GELU_SLOPE).mul_(x).sigmoid_()


@lru_cache(maxsize=32)
def _causal_mask(num_queries: int, num_keys: int, first: int, device: torch.device) -> torch.Tensor:
    """Zero where a query sees a key, minus infinity right of the diagonal, `[Q, L]`."""
    mask_QL = torch.full((num_queries, num_keys), -math.inf, device=device)
    return mask_QL.triu_(first + 1)
