"""Causal attention: against its definition in fp64, and what a token must not see."""

from __future__ import annotations

import math

import pytest
import torch

from sweeper.training.packed.attention import attend

# Below, at and above a group of queries, with a last group that is not full, and beyond what
# is computed in groups at all.
BLOCK_SIZES = [1, 2, 63, 64, 65, 128, 129, 200, 256, 512, 513]
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}  # of the largest number there is

of_types = pytest.mark.parametrize("dtype", TOLERANCES, ids=["fp32", "bf16"])
of_sizes = pytest.mark.parametrize("block_size", BLOCK_SIZES)


def rows(num_blocks: int, block_size: int, num_heads: int, head_width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(block_size)
    shape = num_blocks * block_size, 3 * num_heads * head_width
    return 2 * torch.randn(shape, generator=generator)


def by_definition(qkv_n3D: torch.Tensor, block_size: int, num_heads: int) -> torch.Tensor:
    """Token by token and head by head, in the type that is given."""
    mixed_nD = []
    query_nHE, key_nHE, value_nHE = (
        part.reshape(len(part), num_heads, -1) for part in qkv_n3D.chunk(3, dim=1)
    )
    for row in range(len(qkv_n3D)):
        seen = slice(row - row % block_size, row + 1)
        scores_HL = torch.einsum("he,lhe->hl", query_nHE[row], key_nHE[seen])
        weights_HL = torch.softmax(scores_HL / math.sqrt(query_nHE.shape[2]), dim=1)
        mixed_nD.append(torch.einsum("hl,lhe->he", weights_HL, value_nHE[seen]).flatten())
    return torch.stack(mixed_nD)


@of_types
@of_sizes
def test_it_is_what_the_definition_says_forth_and_back(block_size: int, dtype: torch.dtype) -> None:
    num_heads = 3
    qkv_n3D = rows(2, block_size, num_heads, head_width=4).to(dtype)
    dmixed_nD = rows(2, block_size, 1, head_width=4).to(dtype)  # as wide: three parts of one head
    exact, found = qkv_n3D.double().requires_grad_(), qkv_n3D.clone().requires_grad_()
    exact_nD = by_definition(exact, block_size, num_heads)
    found_nD = attend(found, block_size, num_heads)
    torch.autograd.backward(exact_nD, dmixed_nD.double())
    torch.autograd.backward(found_nD, dmixed_nD)
    assert found.grad is not None
    assert exact.grad is not None
    assert found_nD.dtype == found.grad.dtype == dtype
    assert_near(found_nD, exact_nD, TOLERANCES[dtype])
    assert_near(found.grad, exact.grad, TOLERANCES[dtype])


def assert_near(found: torch.Tensor, exact: torch.Tensor, tolerance: float) -> None:
    farthest = (found.double() - exact).abs().max().item()
    assert farthest <= tolerance * exact.abs().max().item()


@of_types
@of_sizes
def test_no_token_sees_a_later_one_or_another_block(block_size: int, dtype: torch.dtype) -> None:
    qkv_n3D = rows(3, block_size, 2, head_width=8).to(dtype)
    before_nD = attend(qkv_n3D, block_size, 2)
    changed = block_size + block_size // 2  # in the middle of the second block
    qkv_n3D[changed] += 1
    differs_n = (attend(qkv_n3D, block_size, 2) != before_nD).any(1)
    assert differs_n[changed]
    assert not differs_n[:changed].any()
    assert not differs_n[2 * block_size :].any()


@of_types
def test_a_block_that_is_not_finite_leaves_the_others_as_they_are(dtype: torch.dtype) -> None:
    block_size = 256
    qkv_n3D = rows(2, block_size, 2, head_width=8).to(dtype)
    before_nD = attend(qkv_n3D, block_size, 2)
    qkv_n3D[block_size + 3] = math.nan
    after_nD = attend(qkv_n3D, block_size, 2)
    assert torch.equal(after_nD[:block_size], before_nD[:block_size])
    assert after_nD[block_size + 3 :].isnan().all()
