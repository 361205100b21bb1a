"""GPT-2's forward pass over the rows of a pass, each seat's rows with its own adapter.

(Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".)

Shapes: N rows of a pass, B blocks of S tokens, H heads, D width, E width of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from sweeper.models.trunk import Linear, Norm, Site, Trunk
from sweeper.training.packed.attention import attend
from sweeper.training.packed.bank import AdapterBank
from sweeper.training.packed.functions import AdaptedLinear, add_norm, gelu
from sweeper.training.packed.passes import Pass, Run

Mask = Callable[[Run, Sequence[int], int], torch.Tensor | None]


def moved(trunk: Trunk, device: torch.device, dtype: torch.dtype) -> Trunk:
    """A trunk on a device, its matrix products in a type; embeddings and norms stay fp32."""

    def product(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(device, dtype)

    def norm(norm: Norm) -> Norm:
        return Norm(norm.weight_D.to(device), norm.bias_D.to(device))

    return replace(
        trunk,
        token_embedding_VD=trunk.token_embedding_VD.to(device),
        position_embedding_PD=trunk.position_embedding_PD.to(device),
        linears={
            site: Linear(product(linear.weight_IO), product(linear.bias_O))
            for site, linear in trunk.linears.items()
        },
        norms=tuple((norm(one), norm(other)) for one, other in trunk.norms),
        last_norm=norm(trunk.last_norm),
        head_VD=product(trunk.head_VD),
    )


@dataclass(frozen=True)
class Forward:
    """The layers of a trunk with the adapters of a bank, for one pass.

    The residual stream is fp32; what goes into a product has the trunk's type.

    Attributes:
        trunk: As `moved` gives it.
        bank: The adapters.
        pack_pass: Whose rows these are.
        anchor: A tensor that requires a gradient, or does not where none is wanted.
        mask: The dropout's factors for a run's rows, given the seats' ranks and the inputs.
    """

    trunk: Trunk
    bank: AdapterBank
    pack_pass: Pass
    anchor: torch.Tensor
    mask: Mask

    def embed(self, inputs_N: torch.Tensor) -> torch.Tensor:
        """The hidden state before the first layer, fp32 `[N, D]`."""
        places = [
            np.tile(np.arange(c.block_size), len(c.blocks.inputs)) for c in self.pack_pass.cuts
        ]
        positions_N = torch.from_numpy(np.concatenate(places)).to(inputs_N.device)
        tokens_ND = functional.embedding(inputs_N, self.trunk.token_embedding_VD)
        return tokens_ND + functional.embedding(positions_N, self.trunk.position_embedding_PD)

    def through(self, hidden_ND: torch.Tensor, layers: range) -> torch.Tensor:
        """The hidden state behind some layers."""
        added_ND: torch.Tensor | None = None
        for layer in layers:
            before_attention, before_mlp = self.trunk.norms[layer]
            hidden_ND, inner = self._add_norm(hidden_ND, added_ND, before_attention)
            inner = self._linear(inner, layer, "attn.c_attn")
            added_ND = self._linear(self._attend(inner), layer, "attn.c_proj")
            hidden_ND, inner = self._add_norm(hidden_ND, added_ND, before_mlp)
            inner = self._linear(inner, layer, "mlp.c_fc")
            added_ND = self._linear(gelu(inner), layer, "mlp.c_proj")
        return hidden_ND if added_ND is None else hidden_ND + added_ND

    def last_norm(self, hidden_ND: torch.Tensor) -> torch.Tensor:
        """What the head is given, in the head's type."""
        _, normed_ND = self._add_norm(hidden_ND, None, self.trunk.last_norm)
        return normed_ND

    def _add_norm(
        self, hidden_ND: torch.Tensor, added_ND: torch.Tensor | None, norm: Norm
    ) -> tuple[torch.Tensor, torch.Tensor]:
        dtype = self.trunk.head_VD.dtype
        return add_norm(hidden_ND, added_ND, norm, self.trunk.norm_epsilon, dtype)

    def _linear(self, x_NI: torch.Tensor, layer: int, module: str) -> torch.Tensor:
        site = Site(layer, module)
        linear = self.trunk.linears[site]
        adapters = self.bank.adapters(site)
        runs = [] if adapters is None else [r for r in self.pack_pass.runs if adapters.rank(r)]
        if adapters is None or not runs:
            return torch.addmm(linear.bias_O, x_NI, linear.weight_IO)
        masks = [self.mask(run, adapters.ranks, x_NI.shape[1]) for run in runs]
        product: torch.Tensor = AdaptedLinear.apply(  # type: ignore[no-untyped-call]
            x_NI, self.anchor, linear, adapters, runs, masks
        )
        return product

    def _attend(self, qkv_N3D: torch.Tensor) -> torch.Tensor:
        parts = [
            attend(qkv_N3D[rows], block_size, self.trunk.num_heads)
            for rows, block_size in self.pack_pass.block_runs
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)
