"""The compiled attention of bf16, where the processor multiplies pairs of such numbers.

Shapes: n rows, D width, B blocks of S tokens, H heads, P = B * H pairs of a block and a head.
"""

from __future__ import annotations

import ctypes
import math

import torch

from sweeper.training.kernels.build import load_kernels
from sweeper.training.kernels.sharing import INTEGER, NUMBER, POINTER, address_of, share_out

# What the loops treat at a time: a block's tokens and a head's width are multiples of these.
_TOKENS, _WIDTH = 32, 16
_SHAPE = (INTEGER,) * 3 + (NUMBER,) + (INTEGER,) * 2


class CompiledAttention:
    """`attention.cpp`, on contiguous rows of bf16 for a shape that it takes.

    Args:
        library: As it was built, with attention in it.
        block_size: S.
        num_heads: H.
        width: D.
    """

    def __init__(self, library: ctypes.CDLL, block_size: int, num_heads: int, width: int) -> None:
        self._block_size, self._num_heads = block_size, num_heads
        self._head_width = width // num_heads
        self._forward, self._backward = library.attention, library.attention_backward
        self._forward.argtypes, self._forward.restype = (POINTER,) * 3 + _SHAPE, None
        self._backward.argtypes, self._backward.restype = (POINTER,) * 4 + _SHAPE, None

    def forward(
        self, qkv_n3D: torch.Tensor, *, wants_probabilities: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What every token mixes, `[n, D]`, and with which probabilities, `[P, S, S]`.

        Of the probabilities, those right of the diagonal are not all written.
        """
        mixed_nD = qkv_n3D.new_empty(len(qkv_n3D), self._num_heads * self._head_width)
        num_pairs, size = self._num_pairs(qkv_n3D), self._block_size
        probabilities_PSS = (
            qkv_n3D.new_empty(num_pairs, size, size) if wants_probabilities else None
        )
        tensors = [address_of(t) for t in (qkv_n3D, mixed_nD, probabilities_PSS)]

        def run(start: int, stop: int) -> None:
            self._forward(*tensors, *self._shape(), start, stop)

        share_out(num_pairs, num_pairs * size**2, run)
        return mixed_nD, probabilities_PSS

    def backward(
        self, qkv_n3D: torch.Tensor, probabilities_PSS: torch.Tensor, dmixed_nD: torch.Tensor
    ) -> torch.Tensor:
        """The gradient of `qkv`, given that of what was mixed."""
        dqkv_n3D = torch.empty_like(qkv_n3D)
        tensors = [address_of(t) for t in (qkv_n3D, probabilities_PSS, dmixed_nD, dqkv_n3D)]

        def run(start: int, stop: int) -> None:
            self._backward(*tensors, *self._shape(), start, stop)

        share_out(len(probabilities_PSS), probabilities_PSS.numel(), run)
        return dqkv_n3D

    def _num_pairs(self, qkv_n3D: torch.Tensor) -> int:
        return len(qkv_n3D) // self._block_size * self._num_heads

    def _shape(self) -> tuple[int, int, int, float]:
        scale = 1 / math.sqrt(self._head_width)
        return self._block_size, self._num_heads, self._head_width, scale


def compiled_attention(
    qkv_n3D: torch.Tensor, block_size: int, num_heads: int
) -> CompiledAttention | None:
    """Attention for such rows; None where the processor or the shape is not for it."""
    if qkv_n3D.device.type != "cpu" or qkv_n3D.dtype != torch.bfloat16:
        return None
    width = qkv_n3D.shape[1] // 3
    if block_size % _TOKENS or (width // num_heads) % _WIDTH:
        return None
    built = load_kernels()
    if built is None or not hasattr(built, "attention"):
        return None
    return CompiledAttention(built, block_size, num_heads, width)
