"""Takes a pass through the trunk, and back for its adapters' gradients.

Shapes: N rows of a pass, C of them whose target counts, D width, B blocks of S tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from sweeper.data import Blocks
from sweeper.models.trunk import Trunk
from sweeper.training.device import is_out_of_memory
from sweeper.training.packed.bank import AdapterBank
from sweeper.training.packed.forward import Forward
from sweeper.training.packed.frozen import FrozenStates
from sweeper.training.packed.head import loss_and_gradient
from sweeper.training.packed.passes import Counted, Cut, Pass, Run


class PassOutOfMemory(Exception):
    """A pass does not fit.

    Attributes:
        cuts: What it was made of.
    """

    def __init__(self, cuts: Sequence[Cut]) -> None:
        super().__init__(f"a pass of {sum(cut.num_tokens for cut in cuts)} tokens does not fit")
        self.cuts = cuts


class Propagation:
    """Passes of the seats of a bank over a trunk.

    Args:
        trunk: As `moved` gives it.
        bank: The seats' adapters.
        generators: For each started seat what its dropout is drawn from; the caller's.
        device: Where to compute.
    """

    def __init__(
        self,
        trunk: Trunk,
        bank: AdapterBank,
        generators: Mapping[int, torch.Generator],
        device: torch.device,
    ) -> None:
        self._trunk = trunk
        self._bank = bank
        self._generators = generators
        self._device = device
        self._anchor = torch.zeros(1, device=device, requires_grad=True)
        self._frozen = FrozenStates()
        self._sum_type = torch.float32 if device.type == "mps" else torch.float64

    def back_propagate(self, each: Pass, num_targets: Mapping[int, int]) -> dict[int, torch.Tensor]:
        """Add a pass's gradients to those of its seats.

        Returns:
            The sum of the losses of each seat that has targets in the pass.
        """
        with _raising_out_of_memory(each):
            counted = Counted.of(each)
            if not counted.num_rows:
                return {}
            hidden_CD = self._hidden(each, counted)
            losses_C, gradient_CD = loss_and_gradient(
                hidden_CD.detach(),
                self._trunk.head_VD,
                torch.from_numpy(counted.targets_C).to(self._device),
                torch.from_numpy(counted.weights_C(num_targets)).to(self._device),
            )
            torch.autograd.backward(hidden_CD, gradient_CD)
            return self._loss_sums(counted, losses_C)

    @torch.no_grad()
    def losses(self, each: Pass) -> dict[int, torch.Tensor]:
        """The sum of the losses of each seat that has targets in a pass, dropout off.

        Raises:
            PassOutOfMemory: It does not fit.
        """
        with _raising_out_of_memory(each):
            counted = Counted.of(each)
            if not counted.num_rows:
                return {}
            losses_C, _ = loss_and_gradient(
                self._hidden(each, counted),
                self._trunk.head_VD,
                torch.from_numpy(counted.targets_C).to(self._device),
                None,
            )
            return self._loss_sums(counted, losses_C)

    def _hidden(self, each: Pass, counted: Counted) -> torch.Tensor:
        """What the head is given for the rows whose target counts."""
        forward = Forward(self._trunk, self._bank, each, self._anchor, self._mask)
        first = min(self._bank.tenant(cut.seat).sites[0].layer for cut in each.cuts)
        hidden_ND = self._frozen_states(each, first) if first else self._embed(forward)
        hidden_ND = forward.through(hidden_ND, range(first, self._trunk.num_layers))
        if counted.num_rows < each.num_tokens:
            hidden_ND = hidden_ND[torch.from_numpy(counted.rows_C).to(self._device)]
        return forward.last_norm(hidden_ND)

    def _embed(self, forward: Forward) -> torch.Tensor:
        inputs_N = np.concatenate([c.blocks.inputs.ravel() for c in forward.pack_pass.cuts])
        return forward.embed(torch.from_numpy(inputs_N).to(self._device))

    def _frozen_states(self, each: Pass, layer: int) -> torch.Tensor:
        """The hidden states before the first layer in which any seat of a pass has an adapter."""

        def states_of(cut: Cut) -> torch.Tensor:
            def compute(inputs_BS: NDArray[np.int64]) -> torch.Tensor:
                part = Pass((Cut(cut.seat, Blocks(inputs_BS, inputs_BS)),))
                forward = Forward(self._trunk, self._bank, part, self._anchor, self._mask)
                with torch.no_grad():
                    hidden_ND = forward.through(self._embed(forward), range(layer))
                return hidden_ND.view(*inputs_BS.shape, -1)

            return self._frozen.of(cut.blocks.inputs, layer, compute).flatten(0, 1)

        return torch.cat([states_of(cut) for cut in each.cuts])

    def _mask(self, run: Run, ranks: Sequence[int], num_inputs: int) -> torch.Tensor | None:
        """The dropout's factors of a run's rows; each seat draws from its own generator."""
        seats = range(run.first_seat, run.first_seat + run.num_seats)
        rates = [self._dropout(seat) if ranks[seat] else 0.0 for seat in seats]
        if not any(rates):
            return None
        parts = []
        for seat, rate in zip(seats, rates, strict=True):
            mask = torch.ones(run.num_tokens, num_inputs, device=self._device)
            if rate:
                mask.bernoulli_(1 - rate, generator=self._generators[seat]).div_(1 - rate)
            parts.append(mask)
        return torch.cat(parts).to(self._trunk.head_VD.dtype)

    def _dropout(self, seat: int) -> float:
        return self._bank.tenant(seat).hyperparameters.dropout if torch.is_grad_enabled() else 0.0

    def _loss_sums(self, counted: Counted, losses_C: torch.Tensor) -> dict[int, torch.Tensor]:
        parts = torch.split(losses_C, list(counted.num_rows_of.values()))
        return {
            seat: part.sum(dtype=self._sum_type)
            for seat, part in zip(counted.num_rows_of, parts, strict=True)
        }


@contextmanager
def _raising_out_of_memory(each: Pass) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise PassOutOfMemory(each.cuts) from error
