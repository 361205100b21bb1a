"""The two operations that autograd would compute with more passes over memory.

Shapes: N rows of a pass, I inputs, O outputs, G seats of a run, n rows of each, R rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from sweeper.models.trunk import Linear
from sweeper.training.packed.passes import Run

_GELU_SLOPE = 2 * math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715
_GELU_NUMBERS = 1 << 18  # at a time in fp32 where they are bf16: they stay in the cache


class RunAdapters(NamedTuple):
    """Views of the adapters of a run; without the axis of seats where it has a single one.

    A plain product of two matrices takes less time than a batch of one.
    """

    a_GRI: torch.Tensor
    b_GRO: torch.Tensor
    a_gradient_GRI: torch.Tensor
    b_gradient_GRO: torch.Tensor
    scale_G11: torch.Tensor


@dataclass(frozen=True)
class Adapters:
    """The stacked adapters of one site as one pass needs them.

    Attributes:
        a_KRI: `lora_A` of every seat.
        b_KRO: `lora_B` of every seat, transposed.
        a_gradient_KRI and b_gradient_KRO: Where gradients are added.
        scale_K11: alpha / rank of every seat.
        ranks: Ranks of the seats, up to which rows are no padding.
    """

    a_KRI: torch.Tensor
    b_KRO: torch.Tensor
    a_gradient_KRI: torch.Tensor
    b_gradient_KRO: torch.Tensor
    scale_K11: torch.Tensor
    ranks: Sequence[int]
    _of_runs: dict[tuple[int, int], RunAdapters] = field(default_factory=dict)

    def of(self, run: Run) -> RunAdapters:
        """Those of a run's seats, as far as any of them has rank."""
        key = run.first_seat, run.num_seats
        if key not in self._of_runs:
            rank = self.rank(run)
            seats = run.seats if run.num_seats > 1 else run.first_seat
            self._of_runs[key] = RunAdapters(
                self.a_KRI[seats, :rank],
                self.b_KRO[seats, :rank],
                self.a_gradient_KRI[seats, :rank],
                self.b_gradient_KRO[seats, :rank],
                self.scale_K11[seats],
            )
        return self._of_runs[key]

    def rank(self, run: Run) -> int:
        """The largest rank of a run's seats."""
        return max(self.ranks[run.seats])


class AdaptedLinear(torch.autograd.Function):
    """`y = x W + b + scale (dropout(x) A^T) B`, the second half for each seat with its own.

    (Hu et al. 2021, arXiv:2106.09685, eq. 3.) The adapters' gradients are added to
    `Adapters`' buffers; autograd sees the way through `x` alone.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_NI: torch.Tensor,
        anchor: torch.Tensor,
        linear: Linear,
        adapters: Adapters,
        runs: Sequence[Run],
        masks: Sequence[torch.Tensor | None],
    ) -> torch.Tensor:
        """See the class.

        Args:
            ctx: Autograd's.
            x_NI: The rows of a pass.
            anchor: Any tensor that requires a gradient: below the first adapter `x` does not.
            linear: The frozen layer.
            adapters: The site's adapters.
            runs: How the rows belong to the seats; those of seats without an adapter here
                are left out.
            masks: For each run the dropout's factors `[G * n, I]`; None for none.
        """
        y_NO = torch.addmm(linear.bias_O, x_NI, linear.weight_IO)
        inner = []
        for run, mask in zip(runs, masks, strict=True):
            of_run = adapters.of(run)
            a_GRI, b_GRO = of_run.a_GRI.to(x_NI.dtype), of_run.b_GRO.to(x_NI.dtype)
            x_GnI = _by_seat(x_NI if mask is None else x_NI[run.rows] * mask, run)
            u_GnR = torch.matmul(x_GnI, a_GRI.mT)
            u_GnR *= of_run.scale_G11
            _add_product(_by_seat(y_NO, run), u_GnR, b_GRO)
            inner.append((u_GnR, a_GRI, b_GRO))
        ctx.save_for_backward(x_NI)
        ctx.rest = linear, adapters, runs, masks, inner
        return y_NO

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of `x`; that of the adapters goes to their buffers."""
        (dy_NO,) = gradients
        dy_NO = dy_NO.contiguous()
        (x_NI,) = ctx.saved_tensors
        linear, adapters, runs, masks, inner = ctx.rest
        dx_NI = torch.mm(dy_NO, linear.weight_IO.t()) if ctx.needs_input_grad[0] else None
        for run, mask, (u_GnR, a_GRI, b_GRO) in zip(runs, masks, inner, strict=True):
            of_run = adapters.of(run)
            dy_GnO = _by_seat(dy_NO, run)
            x_GnI = _by_seat(x_NI if mask is None else x_NI[run.rows] * mask, run)
            du_GnR = torch.matmul(dy_GnO, b_GRO.mT)
            du_GnR *= of_run.scale_G11
            _add_product(of_run.b_gradient_GRO, u_GnR.mT, dy_GnO)
            _add_product(of_run.a_gradient_GRI, du_GnR.mT, x_GnI)
            if dx_NI is None:
                continue
            if mask is None:
                _add_product(_by_seat(dx_NI, run), du_GnR, a_GRI)
            else:
                dx_NI[run.rows] += torch.matmul(du_GnR, a_GRI).view_as(mask) * mask
        return dx_NI, None, None, None, None, None


def _by_seat(rows: torch.Tensor, run: Run) -> torch.Tensor:
    """A run's rows `[G, n, X]`, or `[n, X]` of a single seat.

    Args:
        rows: Those of the run, or of the whole pass.
        run: Whose.
    """
    if len(rows) > run.num_seats * run.num_tokens:
        rows = rows[run.rows]
    return rows if run.num_seats == 1 else rows.view(run.num_seats, run.num_tokens, -1)


def _add_product(sum_: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """`sum += left right`, with or without an axis of seats; a sum in fp32 stays so."""
    if left.dtype != sum_.dtype:
        sum_ += torch.matmul(left, right)
    elif sum_.dim() == 2:
        sum_.addmm_(left, right)
    else:
        sum_.baddbmm_(left, right)


class SigmoidGelu(torch.autograd.Function):
    """GELU in its tanh form (Hendrycks & Gimpel 2016, arXiv:1606.08415), by way of the sigmoid.

    `0.5 (1 + tanh z)` is `sigmoid(2 z)`, whose kernel on a CPU is several times faster; the
    slope is made on the way, so that the backward pass is one product. What is between is fp32.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        wants_slope = ctx.needs_input_grad[0]
        if x.dtype == torch.float32:
            y, slope = _gelu(x, wants_slope=wants_slope)
        else:
            y, slope = torch.empty_like(x), torch.empty_like(x) if wants_slope else None
            for start in range(0, len(x), size := max(_GELU_NUMBERS // x.shape[1], 1)):
                rows = slice(start, start + size)
                y[rows], slope_32 = _gelu(x[rows].float(), wants_slope=wants_slope)
                if slope is not None and slope_32 is not None:
                    slope[rows] = slope_32
        ctx.save_for_backward(slope)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """See the class."""
        slope: torch.Tensor
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope


def _gelu(x: torch.Tensor, *, wants_slope: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    square = x * x
    gate = (square * (_GELU_SLOPE * _GELU_CUBIC)).add_(_GELU_SLOPE).mul_(x).sigmoid_()
    y = x * gate
    if not wants_slope:
        return y, None
    # g' = gate + x gate (1 - gate) (2z)' = gate (1 + (x - y) (2z)')
    slope = square.mul_(3 * _GELU_SLOPE * _GELU_CUBIC).add_(_GELU_SLOPE)
    return y, slope.mul_(x - y).add_(1).mul_(gate)


def gelu(x: torch.Tensor) -> torch.Tensor:
    """GELU in its tanh form, by the faster way for this device."""
    if x.device.type == "cpu":
        return SigmoidGelu.apply(x)  # type: ignore[no-any-return, no-untyped-call]
    return functional.gelu(x, approximate="tanh")
