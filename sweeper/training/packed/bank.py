"""The adapters of a pack: weights, gradients and AdamW's moments, stacked over its seats.

Shapes: K seats, I inputs and O outputs of a site, R the largest rank, P all weights of a seat.

A seat's row of `[K, P]` holds for every site `A_RI`, then `B_RO`. Where a seat has a smaller rank,
or no adapter at a site, both factors are zeros: their gradients are zeros then (each is a product
with the other factor), and so they stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from sweeper.models.trunk import Site
from sweeper.study import Hyperparameters
from sweeper.training.engine import check_state
from sweeper.training.optimizer import BETAS, EPSILON
from sweeper.training.packed.functions import Adapters

MOMENTS = ("exp_avg", "exp_avg_sq")
_PIECE = 1024  # numbers whose squares are summed one after another, in fp32


@dataclass
class _Tenant:
    """What a seat holds now."""

    hyperparameters: Hyperparameters
    sites: tuple[Site, ...]
    num_steps: int = 0


class _Place(NamedTuple):
    """Where a site's weights lie in a row."""

    start: int
    num_inputs: int
    num_outputs: int


class AdapterBank:
    """Adapters of up to K seats.

    Args:
        shapes: Inputs and outputs of every site, in the order of the forward pass.
        num_seats: K.
        device: Where they lie.
    """

    def __init__(
        self, shapes: Mapping[Site, tuple[int, int]], num_seats: int, device: torch.device
    ) -> None:
        self._shapes = shapes
        self._device = device
        self._tenants: list[_Tenant | None] = [None] * num_seats
        self._places: dict[Site, _Place] = {}
        self._adapters: dict[Site, Adapters] = {}  # views, made once for each change of tenants
        self._rank = 0
        self._scale_K11 = torch.zeros(num_seats, 1, 1, device=device)
        self._allocate((), 0)

    @property
    def num_seats(self) -> int:
        """K."""
        return len(self._tenants)

    def _allocate(self, sites: Sequence[Site], rank: int) -> None:
        self._places = {}
        start = 0
        for site in sites:
            num_inputs, num_outputs = self._shapes[site]
            self._places[site] = _Place(start, num_inputs, num_outputs)
            start += rank * (num_inputs + num_outputs)
        self._rank = rank
        self._adapters.clear()
        self.weights_KP, self.gradients_KP, self._mean_KP, self._square_KP = (
            torch.zeros(self.num_seats, start, device=self._device) for _ in range(4)
        )

    def _grow(self, sites: Sequence[Site], rank: int) -> None:
        """Make room for an adapter; those that are there move."""
        taken = [seat for seat, tenant in enumerate(self._tenants) if tenant is not None]
        there = set(self._places) if taken else set()
        wanted = there | set(sites)
        rank = max(rank, self._rank if taken else 0)
        if wanted == set(self._places) and rank == self._rank:
            return
        kept = {seat: self.export(seat) for seat in taken}
        self._allocate([site for site in self._shapes if site in wanted], rank)
        for seat, tensors in kept.items():
            self._import(seat, tensors)

    # ------------------------------------------------------------------ one seat

    def start(
        self, seat: int, hyperparameters: Hyperparameters, sites: tuple[Site, ...], seed: int
    ) -> None:
        """Give a seat a fresh adapter, the same bits as peft's for the same recipe and seed."""
        self.free(seat)
        self._grow(sites, hyperparameters.rank)
        self._tenants[seat] = _Tenant(hyperparameters, sites)
        self._adapters.clear()
        self._scale_K11[seat] = hyperparameters.alpha / hyperparameters.rank
        generator = torch.Generator().manual_seed(seed)
        for site in sites:
            a_RI, _ = self._factors(self.weights_KP, seat, site)
            a_RI.copy_(_first_a(hyperparameters.rank, *self._places[site][1:], generator))

    def free(self, seat: int) -> None:
        """Empty a seat."""
        self._tenants[seat] = None
        self._adapters.clear()
        self._scale_K11[seat] = 0
        for tensor in (self.weights_KP, self.gradients_KP, self._mean_KP, self._square_KP):
            tensor[seat] = 0

    def tenant(self, seat: int) -> _Tenant:
        """What a started seat holds."""
        tenant = self._tenants[seat]
        assert tenant is not None, "the seat was started"
        return tenant

    def _factors(
        self, stack_KP: torch.Tensor, seat: int, site: Site
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A seat's A `[r, I]` and B `[r, O]` at a site, without the padding."""
        rank = self.tenant(seat).hyperparameters.rank
        a_KRI, b_KRO = self._stacked(stack_KP, site)
        return a_KRI[seat, :rank], b_KRO[seat, :rank]

    def _stacked(self, stack_KP: torch.Tensor, site: Site) -> tuple[torch.Tensor, torch.Tensor]:
        start, num_inputs, num_outputs = self._places[site]
        middle = start + self._rank * num_inputs
        stop = middle + self._rank * num_outputs
        shape = (len(stack_KP), self._rank, -1)
        return stack_KP[:, start:middle].view(shape), stack_KP[:, middle:stop].view(shape)

    def weights(self, seat: int) -> dict[str, torch.Tensor]:
        """A seat's adapter by peft's names and in its shapes: `lora_A` `[r, I]`, `lora_B` `[O, r]`.

        Copies, on the CPU.
        """
        return self._named(self.weights_KP, seat)

    def _named(self, stack_KP: torch.Tensor, seat: int) -> dict[str, torch.Tensor]:
        named = {}
        for site in self.tenant(seat).sites:
            a_RI, b_RO = self._factors(stack_KP, seat, site)
            named[f"{peft_name(site)}.lora_A"] = a_RI.cpu().clone()
            named[f"{peft_name(site)}.lora_B"] = b_RO.t().cpu().contiguous().clone()
        return named

    def export(self, seat: int) -> dict[str, torch.Tensor]:
        """Weights, moments and step count of a seat; the names are those of `load`."""
        tensors = {f"weight/{name}": w for name, w in self.weights(seat).items()}
        if self.tenant(seat).num_steps:
            for moment, stack_KP in self._moments().items():
                named = self._named(stack_KP, seat)
                tensors |= {f"moment/{name}/{moment}": tensor for name, tensor in named.items()}
        tensors["moment/step"] = torch.tensor(self.tenant(seat).num_steps)
        return tensors

    def _moments(self) -> dict[str, torch.Tensor]:
        return dict(zip(MOMENTS, (self._mean_KP, self._square_KP), strict=True))

    def load(self, seat: int, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `export`, exact.

        Raises:
            CheckpointError: Tensors are missing, left over, or of another shape.
        """
        weights = {name: weight.shape for name, weight in self.weights(seat).items()}
        shapes = {f"weight/{name}": shape for name, shape in weights.items()}
        shapes["moment/step"] = torch.Size()
        step = tensors.get("moment/step")
        if step is not None and step.numel() == 1 and int(step):
            shapes |= {f"moment/{n}/{m}": shape for n, shape in weights.items() for m in MOMENTS}
        check_state(tensors, shapes)
        self._import(seat, tensors)

    def _import(self, seat: int, tensors: dict[str, torch.Tensor]) -> None:
        self.tenant(seat).num_steps = int(tensors["moment/step"])
        stacks = {"weight": self.weights_KP, **self._moments()}
        for kind, stack_KP in stacks.items():
            stack_KP[seat] = 0
            for site in self.tenant(seat).sites:
                a_RI, b_RO = self._factors(stack_KP, seat, site)
                for factor, name, transposed in ((a_RI, "lora_A", False), (b_RO, "lora_B", True)):
                    key = f"{peft_name(site)}.{name}"
                    full = f"weight/{key}" if kind == "weight" else f"moment/{key}/{kind}"
                    if full in tensors:
                        factor.copy_(tensors[full].t() if transposed else tensors[full])

    # ------------------------------------------------------------------ all seats

    def adapters(self, site: Site) -> Adapters | None:
        """The stacked adapters of a site; None where no seat has any."""
        if site not in self._places:
            return None
        if site not in self._adapters:
            ranks = [
                t.hyperparameters.rank if t is not None and site in t.sites else 0
                for t in self._tenants
            ]
            weights = self._stacked(self.weights_KP, site)
            gradients = self._stacked(self.gradients_KP, site)
            self._adapters[site] = Adapters(*weights, *gradients, self._scale_K11, ranks)
        return self._adapters[site]

    def gradient_norms(self, seats: Sequence[int]) -> torch.Tensor:
        """Global L2 norms of some seats' gradients, fp32.

        Piece by piece: one sum over a million squares in fp32 is off by 1e-4, and with it every
        update of a trial whose gradients are clipped.
        """
        gradients_KP = self.gradients_KP[list(seats)]
        num_pieces = gradients_KP.shape[1] // _PIECE
        whole = num_pieces * _PIECE
        pieces_KNP = gradients_KP[:, :whole].view(len(seats), num_pieces, _PIECE)
        norms_KN = torch.linalg.vector_norm(pieces_KNP, dim=2)
        rest_K1 = torch.linalg.vector_norm(gradients_KP[:, whole:], dim=1, keepdim=True)
        norms: torch.Tensor = torch.linalg.vector_norm(torch.cat((norms_KN, rest_K1), 1), dim=1)
        return norms

    def clear_gradients(self, seats: Sequence[int]) -> None:
        """Set the gradients of some seats to zero."""
        self.gradients_KP[list(seats)] = 0

    def step(self, learning_rates: Mapping[int, float], clip_factors: Mapping[int, float]) -> None:
        """One step of AdamW for some seats, each with its own rate, decay, clipping and count.

        (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2.)
        """
        seats = sorted(learning_rates)
        rows = slice(None) if len(seats) == self.num_seats else seats
        numbers = torch.tensor(
            [self._factors_of_step(s, learning_rates[s], clip_factors[s]) for s in seats],
            device=self._device,
        )
        clip, keep, size, correction = (numbers[:, [column]] for column in range(4))
        gradient = self.gradients_KP[rows] * clip
        weight, mean, square = (t[rows] for t in (self.weights_KP, self._mean_KP, self._square_KP))
        weight *= keep
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        weight -= mean.mul(size).div_(square.sqrt().div_(correction).add_(EPSILON))
        if isinstance(rows, list):  # indexing by a list copies
            self.weights_KP[rows], self._mean_KP[rows] = weight, mean
            self._square_KP[rows] = square
        self.clear_gradients(seats)

    def _factors_of_step(self, seat: int, rate: float, clip: float) -> tuple[float, ...]:
        tenant = self.tenant(seat)
        tenant.num_steps += 1
        size = rate / (1 - BETAS[0] ** tenant.num_steps)
        correction = math.sqrt(1 - BETAS[1] ** tenant.num_steps)
        return clip, 1 - rate * tenant.hyperparameters.weight_decay, size, correction


def peft_name(site: Site) -> str:
    """The module of a site as peft names it."""
    return f"base_model.model.{site.name}"


def _first_a(
    rank: int, num_inputs: int, num_outputs: int, generator: torch.Generator
) -> torch.Tensor:
    """A fresh `lora_A` `[r, I]`, as peft draws it.

    peft makes two linear layers, which draw their weights, and draws A once more; B is zero. All
    are uniform with the bound of a linear layer, 1 / sqrt(inputs).
    """
    torch.rand(rank, num_inputs, generator=generator)
    torch.rand(num_outputs, rank, generator=generator)
    bound = 1 / math.sqrt(num_inputs)
    return torch.empty(rank, num_inputs).uniform_(-bound, bound, generator=generator)
