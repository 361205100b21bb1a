"""Causal attention: against its definition in fp64, and what a token must not see."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from sweeper.training.kernels import attention as compiled_module
from sweeper.training.kernels import choice, sharing
from sweeper.training.kernels.attention import compiled_attention
from sweeper.training.packed.attention import attend

# Below, at and above a group of queries, with a last group that is not full, and beyond what
# is computed in groups at all.
BLOCK_SIZES = [1, 2, 32, 63, 64, 65, 96, 128, 129, 200, 256, 512, 513]
HEAD_WIDTHS = [4, 16, 48]  # too narrow for what is compiled; its least; not its largest step
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}  # of the largest number there is

of_types = pytest.mark.parametrize("dtype", TOLERANCES, ids=["fp32", "bf16"])
of_sizes = pytest.mark.parametrize("block_size", BLOCK_SIZES)
of_widths = pytest.mark.parametrize("head_width", HEAD_WIDTHS)


@pytest.fixture(params=["compiled", "torch"], autouse=True)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With what is compiled here, and as where there is no compiler."""
    choice.rows_on.cache_clear()
    if request.param == "torch":
        monkeypatch.setattr(compiled_module, "load_kernels", lambda: None)
        monkeypatch.setattr(choice, "load_kernels", lambda: None)
    yield
    choice.rows_on.cache_clear()


def rows(num_blocks: int, block_size: int, num_heads: int, head_width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(block_size)
    shape = num_blocks * block_size, 3 * num_heads * head_width
    return 2 * torch.randn(shape, generator=generator)


def by_definition(qkv_n3D: torch.Tensor, block_size: int, num_heads: int) -> torch.Tensor:
    """All scores of a block, those of later tokens taken out, in the type that is given."""
    query_BSHE, key_BSHE, value_BSHE = (
        part.reshape(-1, block_size, num_heads, part.shape[1] // num_heads)
        for part in qkv_n3D.chunk(3, dim=1)
    )
    scores_BHSL = torch.einsum("bshe,blhe->bhsl", query_BSHE, key_BSHE)
    position_S = torch.arange(block_size)
    is_later_SL = position_S[None, :] > position_S[:, None]
    scores_BHSL = scores_BHSL.masked_fill(is_later_SL, -math.inf)
    weights_BHSL = torch.softmax(scores_BHSL / math.sqrt(query_BSHE.shape[3]), dim=-1)
    return torch.einsum("bhsl,blhe->bshe", weights_BHSL, value_BSHE).reshape(len(qkv_n3D), -1)


@of_types
@of_sizes
@of_widths
def test_it_is_what_the_definition_says_forth_and_back(
    block_size: int, head_width: int, dtype: torch.dtype
) -> None:
    num_heads = 3
    qkv_n3D = rows(2, block_size, num_heads, head_width).to(dtype)
    dmixed_nD = rows(2, block_size, 1, head_width).to(dtype)  # as wide: three parts of one head
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
@of_widths
def test_no_token_sees_a_later_one_or_another_block(
    block_size: int, head_width: int, dtype: torch.dtype
) -> None:
    qkv_n3D = rows(3, block_size, 2, head_width).to(dtype)
    before_nD = attend(qkv_n3D, block_size, 2)
    changed = block_size + block_size // 2  # in the middle of the second block
    qkv_n3D[changed] += 1
    differs_n = (attend(qkv_n3D, block_size, 2) != before_nD).any(1)
    assert differs_n[changed]
    assert not differs_n[:changed].any()
    assert not differs_n[2 * block_size :].any()


@of_types
@of_widths
def test_a_block_that_is_not_finite_leaves_the_others_as_they_are(
    head_width: int, dtype: torch.dtype
) -> None:
    block_size = 256
    qkv_n3D = rows(2, block_size, 2, head_width).to(dtype)
    before_nD = attend(qkv_n3D, block_size, 2)
    qkv_n3D[block_size + 3] = math.nan
    after_nD = attend(qkv_n3D, block_size, 2)
    assert torch.equal(after_nD[:block_size], before_nD[:block_size])
    assert after_nD[block_size + 3 :].isnan().all()


def test_threads_compute_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    qkv_n3D = rows(3, 64, 2, head_width=16).to(torch.bfloat16)

    def forth_and_back() -> tuple[torch.Tensor, torch.Tensor]:
        found = qkv_n3D.clone().requires_grad_()
        mixed_nD = attend(found, 64, 2)
        mixed_nD.backward(torch.ones_like(mixed_nD))
        assert found.grad is not None
        return mixed_nD, found.grad

    alone = forth_and_back()
    monkeypatch.setattr(sharing, "_LEAST_NUMBERS", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        shared = forth_and_back()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(alone, shared, strict=True))


def test_what_is_compiled_is_used_where_it_fits() -> None:
    fitting = rows(2, 64, 2, head_width=16).to(torch.bfloat16)
    built = compiled_module.load_kernels()
    can = built is not None and hasattr(built, "attention")
    assert (compiled_attention(fitting, 64, 2) is not None) == can
    assert compiled_attention(fitting, 16, 2) is None
    assert compiled_attention(fitting, 64, 4) is None
    assert compiled_attention(fitting.float(), 64, 2) is None


def test_no_gradient_keeps_nothing_and_is_the_same() -> None:
    qkv_n3D = rows(2, 96, 2, head_width=16).to(torch.bfloat16)
    kept_nD = attend(qkv_n3D.clone().requires_grad_(), 96, 2)
    assert torch.equal(attend(qkv_n3D, 96, 2), kept_nD)
