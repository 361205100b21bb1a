"""The operations that autograd would compute with more passes over memory.

Shapes: N rows of a pass, I inputs, O outputs, G seats of a run, n rows of each, R rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from sweeper.models.trunk import Linear, Norm
from sweeper.training.kernels.choice import rows_on
from sweeper.training.kernels.rows import Rows
from sweeper.training.packed.passes import Run


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
        # What is small first, which is rounded as such; the sum with the large is rounded once.
        y_NO = linear.bias_O.repeat(len(x_NI), 1)
        inner = []
        for run, mask in zip(runs, masks, strict=True):
            of_run = adapters.of(run)
            a_GRI, b_GRO = of_run.a_GRI.to(x_NI.dtype), of_run.b_GRO.to(x_NI.dtype)
            x_GnI = _by_seat(x_NI if mask is None else x_NI[run.rows] * mask, run)
            u_GnR = torch.matmul(a_GRI, x_GnI.mT).mT
            u_GnR *= of_run.scale_G11
            _add_product(_by_seat(y_NO, run), u_GnR, b_GRO)
            inner.append((u_GnR, a_GRI, b_GRO))
        y_NO.addmm_(x_NI, linear.weight_IO)
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
        dx_NI = _rows_for(runs, x_NI) if ctx.needs_input_grad[0] else None
        for run, mask, (u_GnR, a_GRI, b_GRO) in zip(runs, masks, inner, strict=True):
            of_run = adapters.of(run)
            dy_GnO = _by_seat(dy_NO, run)
            x_GnI = _by_seat(x_NI if mask is None else x_NI[run.rows] * mask, run)
            du_GnR = torch.matmul(b_GRO, dy_GnO.mT).mT
            du_GnR *= of_run.scale_G11
            _add_product(of_run.b_gradient_GRO, u_GnR.mT, dy_GnO)
            _add_product(of_run.a_gradient_GRI, du_GnR.mT, x_GnI)
            if dx_NI is None:
                continue
            torch.matmul(du_GnR, a_GRI, out=_by_seat(dx_NI, run))
            if mask is not None:
                dx_NI[run.rows] *= mask
        if dx_NI is not None:
            dx_NI.addmm_(dy_NO, linear.weight_IO.t())
        return dx_NI, None, None, None, None, None


def _rows_for(runs: Sequence[Run], like_NX: torch.Tensor) -> torch.Tensor:
    """Room for rows that runs will write; zeros for those that belong to none."""
    num_written = sum(run.num_seats * run.num_tokens for run in runs)
    return (torch.empty_like if num_written == len(like_NX) else torch.zeros_like)(like_NX)


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


class Gelu(torch.autograd.Function):
    """GELU in its tanh form (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""

    @staticmethod
    def forward(ctx: Any, x_ND: torch.Tensor, rows: Rows) -> torch.Tensor:
        """See the class."""
        ctx.save_for_backward(x_ND)
        ctx.rows = rows
        return rows.gelu(x_ND)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        """See the class."""
        (x_ND,) = ctx.saved_tensors
        return ctx.rows.gelu_backward(x_ND, gradients[0].contiguous()), None


def gelu(x_ND: torch.Tensor) -> torch.Tensor:
    """GELU in its tanh form, by the faster way for this device."""
    if x_ND.device.type == "cpu":
        return Gelu.apply(x_ND, rows_on(x_ND.device, x_ND.dtype))  # type: ignore[no-any-return, no-untyped-call]
    return functional.gelu(x_ND, approximate="tanh")


class AddNorm(torch.autograd.Function):
    """A sum and its LayerNorm, there and back in one pass over the rows each."""

    @staticmethod
    def forward(
        ctx: Any,
        stream_ND: torch.Tensor,
        added_ND: torch.Tensor | None,
        norm: Norm,
        epsilon: float,
        rows: Rows,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `add_norm`."""
        sum_ND, normed_ND, mean_N, rstd_N = rows.add_norm(
            stream_ND, added_ND, norm.weight_D, norm.bias_D, epsilon
        )
        ctx.save_for_backward(sum_ND, norm.weight_D, mean_N, rstd_N)
        ctx.set_materialize_grads(False)
        ctx.rows = rows
        return sum_ND if added_ND is not None else stream_ND.view_as(stream_ND), normed_ND

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        """The gradient of both terms."""
        d_sum_ND, d_normed_ND = gradients
        assert d_normed_ND is not None, "what was normed is used"
        d_stream_ND, d_added_ND = ctx.rows.add_norm_backward(
            ctx.saved_tensors,
            d_normed_ND.contiguous(),
            None if d_sum_ND is None else d_sum_ND.contiguous(),
            wants_added=ctx.needs_input_grad[1],
        )
        return d_stream_ND, d_added_ND, None, None, None


def add_norm(
    stream_ND: torch.Tensor,
    added_ND: torch.Tensor | None,
    norm: Norm,
    epsilon: float,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The residual stream with what a layer adds, fp32, and its LayerNorm in a type.

    Args:
        stream_ND: fp32.
        added_ND: None for nothing.
        norm: Its weight and bias.
        epsilon: Added to the variance.
        dtype: Of what goes into the next matrix product.
    """
    rows = rows_on(stream_ND.device, dtype)
    return AddNorm.apply(stream_ND, added_ND, norm, epsilon, rows)  # type: ignore[no-any-return, no-untyped-call]
