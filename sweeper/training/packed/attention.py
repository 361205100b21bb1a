"""Causal self-attention over the blocks of a pass, by the faster way for device, type and size.

Shapes: n rows, B blocks of S tokens, H heads, D width, E width of a head, P = B * H pairs of a
block and a head, Q query positions at a time, L key positions that they see.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

from sweeper.training.kernels.attention import CompiledAttention, compiled_attention
from sweeper.training.kernels.choice import rows_on

# Query positions at a time: what lies right of the diagonal of a group is never computed, and
# its probabilities stay in the cache.
_QUERIES = 64
# Blocks up to which torch's kernel is as fast; in bf16 its way back is slow at every size.
_SHORT_BLOCK = {torch.float32: 128, torch.bfloat16: 0}
# Beyond it, probabilities kept from the way forward would take more memory than all else.
_LONG_BLOCK = 512


def attend(qkv_n3D: torch.Tensor, block_size: int, num_heads: int) -> torch.Tensor:
    """Softmax attention of every token to those before it in its block, `[n, D]`.

    (Vaswani et al. 2017, arXiv:1706.03762, eq. 1, with the mask of its section 3.2.3.)

    Args:
        qkv_n3D: Queries, keys and values side by side, block after block; fp32 or bf16.
        block_size: S; divides n.
        num_heads: H; divides D.
    """
    if block_size <= _LONG_BLOCK:
        compiled = compiled_attention(qkv_n3D, block_size, num_heads)
        if compiled is not None:
            return FusedAttention.apply(qkv_n3D, compiled)  # type: ignore[no-any-return, no-untyped-call]
    shortest = _SHORT_BLOCK.get(qkv_n3D.dtype, _LONG_BLOCK)
    if qkv_n3D.device.type == "cpu" and shortest < block_size <= _LONG_BLOCK:
        return GroupedAttention.apply(  # type: ignore[no-any-return, no-untyped-call]
            qkv_n3D, block_size, num_heads
        )
    shape = (-1, block_size, num_heads, qkv_n3D.shape[1] // 3 // num_heads)
    query, key, value = (part.view(shape).transpose(1, 2) for part in qkv_n3D.chunk(3, dim=-1))
    mixed_BHSE = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    return mixed_BHSE.transpose(1, 2).flatten(2).flatten(0, 1)


class FusedAttention(torch.autograd.Function):
    """`attend` head by head in the cache."""

    @staticmethod
    def forward(ctx: Any, qkv_n3D: torch.Tensor, compiled: CompiledAttention) -> torch.Tensor:
        """See `attend`."""
        qkv_n3D = qkv_n3D.contiguous()
        mixed_nD, probabilities_PSS = compiled.forward(
            qkv_n3D, wants_probabilities=ctx.needs_input_grad[0]
        )
        ctx.save_for_backward(qkv_n3D, probabilities_PSS)
        ctx.compiled = compiled
        return mixed_nD

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of `qkv`."""
        (dmixed_nD,) = gradients
        return ctx.compiled.backward(*ctx.saved_tensors, dmixed_nD.contiguous()), None


class GroupedAttention(torch.autograd.Function):
    """`attend` in plain matrix products, a group of query positions at a time.

    Scores are fp32: what a bf16 one is off by, its probability is off by as a share of itself.
    Probabilities are kept for the way back instead of being computed again: for blocks this
    short they are few.
    """

    @staticmethod
    def forward(ctx: Any, qkv_n3D: torch.Tensor, block_size: int, num_heads: int) -> torch.Tensor:
        """See `attend`."""
        num_rows, width = len(qkv_n3D), qkv_n3D.shape[1] // 3
        shape_BSHE = (num_rows // block_size, block_size, num_heads, width // num_heads)
        query_PSE, key_PSE, value_PSE = _by_head(qkv_n3D, shape_BSHE)
        mixed_BSHE = qkv_n3D.new_empty(shape_BSHE)
        scale = 1 / math.sqrt(shape_BSHE[-1])
        rows = rows_on(qkv_n3D.device, qkv_n3D.dtype)
        query_32_PSE, key_32_PSE = query_PSE.float(), key_PSE.float()
        probabilities = []
        for group, seen in _groups(block_size):
            scores_PQL = torch.bmm(query_32_PSE[:, group], key_32_PSE[:, seen].mT)
            probabilities_PQL = rows.softmax(scores_PQL, scale, group.start)
            mixed_PQE = torch.bmm(probabilities_PQL, value_PSE[:, seen])
            _place(mixed_BSHE, group, mixed_PQE)
            probabilities.append(probabilities_PQL)
        ctx.save_for_backward(query_PSE, key_PSE, value_PSE, *probabilities)
        ctx.shape_BSHE = shape_BSHE
        return mixed_BSHE.view(num_rows, width)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of `qkv`."""
        (dmixed_nD,) = gradients
        query_PSE, key_PSE, value_PSE, *probabilities = ctx.saved_tensors
        num_blocks, block_size, num_heads, head_width = shape_BSHE = ctx.shape_BSHE
        (dmixed_PSE,) = _by_head(dmixed_nD, shape_BSHE)
        dqkv_BS3HE = dmixed_nD.new_empty(num_blocks, block_size, 3, num_heads, head_width)
        dquery_BSHE, dkey_BSHE, dvalue_BSHE = dqkv_BS3HE.unbind(2)
        dkey_PSE, dvalue_PSE = torch.zeros_like(key_PSE), torch.zeros_like(value_PSE)
        scale = 1 / math.sqrt(head_width)
        scaled_query_PSE, scaled_key_PSE = query_PSE * scale, key_PSE * scale
        groups = zip(_groups(block_size), probabilities, strict=True)
        for (group, seen), probabilities_PQL in groups:
            dmixed_PQE = dmixed_PSE[:, group]
            dprobabilities_PQL = torch.bmm(dmixed_PQE, value_PSE[:, seen].mT)
            # What autograd calls for `softmax`: four operations over all scores in one.
            dscores_PQL = torch._softmax_backward_data(
                dprobabilities_PQL, probabilities_PQL, -1, probabilities_PQL.dtype
            )
            _place(dquery_BSHE, group, torch.bmm(dscores_PQL, scaled_key_PSE[:, seen]))
            dkey_PSE[:, seen] += torch.bmm(dscores_PQL.mT, scaled_query_PSE[:, group])
            dvalue_PSE[:, seen] += torch.bmm(probabilities_PQL.mT, dmixed_PQE)
        whole = slice(0, block_size)
        _place(dkey_BSHE, whole, dkey_PSE)
        _place(dvalue_BSHE, whole, dvalue_PSE)
        return dqkv_BS3HE.view(len(dmixed_nD), -1), None, None


def _groups(block_size: int) -> Iterator[tuple[slice, slice]]:
    """Query positions of each group, and the key positions that any of them sees."""
    for start in range(0, block_size, _QUERIES):
        stop = min(start + _QUERIES, block_size)
        yield slice(start, stop), slice(0, stop)


def _by_head(rows: torch.Tensor, shape_BSHE: tuple[int, int, int, int]) -> torch.Tensor:
    """Rows of one or more parts side by side, `[parts, P, S, E]` and contiguous."""
    num_blocks, block_size, num_heads, head_width = shape_BSHE
    parts = rows.reshape(num_blocks, block_size, -1, num_heads, head_width).permute(2, 0, 3, 1, 4)
    return parts.reshape(-1, num_blocks * num_heads, block_size, head_width)


def _place(rows_BSHE: torch.Tensor, positions: slice, of_heads_PQE: torch.Tensor) -> None:
    """Put what was computed for some positions where they lie among the rows."""
    rows_BQHE = rows_BSHE[:, positions]
    num_blocks, num_positions, num_heads, head_width = rows_BQHE.shape
    shape_BHQE = num_blocks, num_heads, num_positions, head_width
    rows_BQHE.copy_(of_heads_PQE.view(shape_BHQE).transpose(1, 2))
