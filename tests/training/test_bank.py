"""The stacked adapters' own arithmetic, where no comparison of whole trials would show it."""

from __future__ import annotations

import pytest
import torch

from sweeper.models.trunk import sites_of
from sweeper.training.packed.bank import AdapterBank
from tests import tiny


@pytest.mark.parametrize("width", [8, 100, 4000], ids=["a piece", "some and a rest", "a million"])
def test_norms_are_as_exact_as_fp32_whatever_their_number(width: int) -> None:
    sites = sites_of(4, tiny.recipe().target_modules)
    assert sites is not None
    bank = AdapterBank(dict.fromkeys(sites, (width, 3 * width)), 2, torch.device("cpu"))
    for seat in range(2):
        bank.start(seat, tiny.recipe(rank=8), sites, seed=seat)
    generator = torch.Generator().manual_seed(3)
    sizes = torch.rand(bank.gradients_KP.shape, generator=generator) ** 8
    bank.gradients_KP.copy_(sizes * torch.randn(sizes.shape, generator=generator))

    exact = torch.linalg.vector_norm(bank.gradients_KP.double(), dim=1)

    torch.testing.assert_close(bank.gradient_norms([0, 1]).double(), exact, rtol=3e-7, atol=0)
    torch.testing.assert_close(bank.gradient_norms([1]).double(), exact[1:], rtol=3e-7, atol=0)
