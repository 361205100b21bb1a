"""The packed engine: K adapters on one frozen GPT-2, each trained as if it were alone.

Shapes: K seats, N rows of a pass, C of them whose target counts, D width.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from sweeper.data import Blocks
from sweeper.errors import BaseError
from sweeper.models.base import Base
from sweeper.models.lora import write_adapter
from sweeper.models.trunk import is_plain_gpt2, read_trunk, sites_of
from sweeper.study import Hyperparameters
from sweeper.training.device import Device, release_memory
from sweeper.training.engine import (
    EVALUATION_TOKENS,
    Batch,
    Engine,
    Gradient,
    SeatOutOfMemory,
    check_state,
    shapes_of,
)
from sweeper.training.packed.bank import AdapterBank
from sweeper.training.packed.forward import moved
from sweeper.training.packed.passes import Cut, Pass, plan_passes
from sweeper.training.packed.propagation import PassOutOfMemory, Propagation

_PASS_TOKENS = {"cpu": 1024, "mps": 8192, "cuda": 16384}
_BF16_CPU_PASS_TOKENS = 2048  # as many bytes
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def is_packable(base: Base) -> bool:
    """Whether this engine can train on a base at all."""
    return is_plain_gpt2(base.config)


def fits(base: Base, hyperparameters: Hyperparameters) -> bool:
    """Whether this engine can train a recipe on a base; the peft engine can train any.

    Parts of the base that are trained whole are not for it: seats share the base.
    """
    return (
        is_packable(base)
        and not hyperparameters.train_also
        and sites_of(int(base.config["n_layer"]), hyperparameters.target_modules) is not None
    )


def pass_tokens(precision: str, device: Device) -> int:
    """Rows of a pass on a device that are enough to keep it busy, and not too many to hold."""
    is_narrow = precision == "bf16" and device.kind == "cpu"
    return _BF16_CPU_PASS_TOKENS if is_narrow else _PASS_TOKENS[device.kind]


def fills_a_pass(hyperparameters: Hyperparameters, device: Device) -> bool:
    """Whether a recipe's step leaves no room in a pass for another seat's."""
    draws = hyperparameters.dropout > 0  # then it goes through in the micro-batches as they are
    num_blocks = hyperparameters.batch_size if draws else hyperparameters.effective_batch
    num_tokens = num_blocks * hyperparameters.block_size
    return num_tokens >= pass_tokens(hyperparameters.precision, device)


class PackedEngine:
    """A `Pack` of seats on one frozen GPT-2.

    The trunk's products are computed in each recipe's own precision, fp32 or bf16; seats of the
    same one share their passes. Adapters and optimizer are always fp32.

    Args:
        base: A base that `fits`.
        device: Where to compute.
        num_seats: K, at least 1.
        most_tokens: Rows of a pass; None: by device and precision.

    Raises:
        BaseError: The base cannot be loaded.
    """

    def __init__(
        self,
        base: Base,
        device: Device,
        *,
        num_seats: int = 1,
        most_tokens: int | None = None,
    ) -> None:
        self.base = base
        self.device = device
        self._torch_device = torch.device(device.kind)
        self._trunk = moved(read_trunk(base), self._torch_device, torch.float32)
        self._bank = AdapterBank(self._trunk.shapes, num_seats, self._torch_device)
        self._most_tokens = {
            precision: most_tokens or pass_tokens(precision, device) for precision in _DTYPES
        }
        self._generators: dict[int, torch.Generator] = {}
        self._propagations: dict[str, Propagation] = {}
        self._norms: dict[int, float] = {}
        self._base_losses: dict[tuple[Blocks, str], float] = {}
        self._seats = tuple(Seat(self, number) for number in range(num_seats))

    @property
    def seats(self) -> Sequence[Engine]:
        """See `Pack.seats`."""
        return self._seats

    @property
    def bank(self) -> AdapterBank:
        """The seats' adapters."""
        return self._bank

    # ------------------------------------------------------------------ seats come and go

    def start(self, seat: int, hyperparameters: Hyperparameters, seed: int) -> None:
        """`Engine.start` for a seat."""
        sites = sites_of(self._trunk.num_layers, hyperparameters.target_modules)
        if sites is None or hyperparameters.train_also:
            raise BaseError(
                f"engine: packed trains adapters of GPT-2's own linear layers alone, not "
                f"target_modules {hyperparameters.target_modules} with train_also "
                f"{hyperparameters.train_also or 'off'} (allowed: engine: auto or peft)"
            )
        assert hyperparameters.precision in _DTYPES, "the plan resolves the precision"
        self._bank.start(seat, hyperparameters, sites, seed)
        self._generators[seat] = torch.Generator(self._torch_device).manual_seed(seed)

    def finish(self, seat: int) -> None:
        """`Engine.finish` for a seat."""
        self._bank.free(seat)
        del self._generators[seat]

    def state(self, seat: int) -> dict[str, torch.Tensor]:
        """`Engine.state` for a seat."""
        generator = self._generators[seat].get_state()
        return {**self._bank.export(seat), "generator/dropout": generator}

    def load_state(self, seat: int, tensors: dict[str, torch.Tensor]) -> None:
        """`Engine.load_state` for a seat."""
        present = {"generator/dropout": self._generators[seat].get_state()}
        draws = {name: tensors[name] for name in present if name in tensors}
        check_state(draws, shapes_of(present))
        rest = {name: tensor for name, tensor in tensors.items() if name not in draws}
        self._bank.load(seat, rest)
        self._generators[seat].set_state(draws["generator/dropout"])

    def save_adapter(self, seat: int, folder: Path) -> None:
        """`Engine.save_adapter` for a seat."""
        hyperparameters = self._bank.tenant(seat).hyperparameters
        write_adapter(folder, self.base, hyperparameters, self._bank.weights(seat))

    # ------------------------------------------------------------------ a step

    def accumulate(self, batches: Mapping[int, Batch]) -> dict[int, Gradient]:
        """See `Pack.accumulate`.

        Where a pass does not fit that can be cut, passes are smaller from then on.
        """
        while True:
            try:
                with self._as_before_on_error(sorted(batches)):
                    return self._accumulate(batches)
            except PassOutOfMemory as error:
                release_memory(self.device)
                first, *others = error.cuts
                may_be_cut = not self._draws(first.seat) and len(first.blocks.inputs) > 1
                if not others and not may_be_cut:
                    raise SeatOutOfMemory(first.seat) from error
                self._halve(error.cuts)

    @contextmanager
    def _as_before_on_error(self, seats: Sequence[int]) -> Iterator[None]:
        before = {seat: self._generators[seat].get_state() for seat in seats}
        try:
            yield
        except BaseException:
            self._bank.clear_gradients(seats)
            for seat, state in before.items():
                self._generators[seat].set_state(state)
            raise

    def _accumulate(self, batches: Mapping[int, Batch]) -> dict[int, Gradient]:
        seats = sorted(batches)
        num_targets = {seat: batches[seat].blocks.num_targets for seat in seats}
        whole = {seat: self._draws(seat) for seat in seats}
        sums: dict[int, list[torch.Tensor]] = {seat: [] for seat in seats}
        for propagation, each in self._passes(batches, whole):
            for seat, loss in propagation.back_propagate(each, num_targets).items():
                sums[seat].append(loss)
        norms = self._bank.gradient_norms(seats).tolist()  # waits for the device
        self._norms |= dict(zip(seats, norms, strict=True))
        return {
            seat: Gradient(_mean(sums[seat], num_targets[seat]), self._norms[seat])
            for seat in seats
        }

    def _draws(self, seat: int) -> bool:
        """Whether micro-batches matter to a seat: each has its own draws of the dropout."""
        return self._bank.tenant(seat).hyperparameters.dropout > 0

    def _passes(
        self, batches: Mapping[int, Batch], whole: Mapping[int, bool]
    ) -> Iterator[tuple[Propagation, Pass]]:
        """The passes of all batches, the seats of one precision after those of another."""
        for precision in sorted({self._precision(seat) for seat in batches}):
            together = {s: b for s, b in batches.items() if self._precision(s) == precision}
            propagation = self._propagation(precision)
            most_tokens = self._most_tokens[precision]
            for each in plan_passes(together, whole=whole, most_tokens=most_tokens):
                yield propagation, each

    def _halve(self, cuts: Sequence[Cut]) -> None:
        """Let passes of this precision be half as large from now on as one that did not fit."""
        num_tokens = sum(cut.num_tokens for cut in cuts)
        self._most_tokens[self._precision(cuts[0].seat)] = num_tokens // 2

    def _precision(self, seat: int) -> str:
        return self._bank.tenant(seat).hyperparameters.precision

    def _propagation(self, precision: str) -> Propagation:
        """What takes passes through the trunk in a precision, made when first used."""
        if precision not in self._propagations:
            trunk = moved(self._trunk, self._torch_device, _DTYPES[precision])
            self._propagations[precision] = Propagation(
                trunk, self._bank, self._generators, self._torch_device
            )
        return self._propagations[precision]

    def apply(self, learning_rates: Mapping[int, float]) -> None:
        """See `Pack.apply`."""
        clip_factors = {}
        for seat in learning_rates:
            limit = self._bank.tenant(seat).hyperparameters.clip_norm
            factor = 1.0 if limit is None else limit / (self._norms[seat] + 1e-6)
            clip_factors[seat] = 1.0 if factor > 1 else factor  # and not min(), for NaN's sake
        self._bank.step(learning_rates, clip_factors)

    # ------------------------------------------------------------------ evaluation

    def evaluate(self, seats: Collection[int], blocks: Blocks) -> dict[int, float]:
        """See `Pack.evaluate`.

        A fresh adapter adds exact zeros: the base's own loss is computed once.
        """
        trained = [seat for seat in sorted(seats) if self._bank.tenant(seat).num_steps]
        losses = self._mean_losses(trained, blocks)
        for seat in seats:
            if seat not in losses:
                key = blocks, self._precision(seat)
                if key not in self._base_losses:
                    self._base_losses[key] = self._mean_losses([seat], blocks)[seat]
                losses[seat] = self._base_losses[key]
        return losses

    def _mean_losses(self, seats: Sequence[int], blocks: Blocks) -> dict[int, float]:
        """Mean losses, in as many seats at a time as fit."""
        while True:
            try:
                return self._evaluated(seats, blocks)
            except PassOutOfMemory as error:
                release_memory(self.device)
                if len(error.cuts) == 1:
                    raise SeatOutOfMemory(error.cuts[0].seat) from error
                self._halve(error.cuts)

    def _evaluated(self, seats: Sequence[int], blocks: Blocks) -> dict[int, float]:
        sums: dict[int, list[torch.Tensor]] = {seat: [] for seat in seats}
        size = max(EVALUATION_TOKENS // blocks.inputs.shape[1], 1)
        batches = {seat: Batch(blocks, size) for seat in seats}
        whole = dict.fromkeys(seats, True)
        for propagation, each in self._passes(batches, whole):
            for seat, loss in propagation.losses(each).items():
                sums[seat].append(loss)
        means = {seat: _mean(sums[seat], blocks.num_targets) for seat in seats}
        return {seat: math.nan if mean is None else mean for seat, mean in means.items()}


def _mean(sums: Sequence[torch.Tensor], num_targets: int) -> float | None:
    return sum(map(float, sums)) / num_targets if num_targets else None


class Seat:
    """An `Engine`: one place of a pack, which can also be used alone."""

    def __init__(self, pack: PackedEngine, number: int) -> None:
        self._pack = pack
        self._number = number

    def start(self, hyperparameters: Hyperparameters, seed: int) -> None:
        """See `Engine.start`."""
        self._pack.start(self._number, hyperparameters, seed)

    def accumulate(self, batch: Blocks, micro_batch: int) -> Gradient:
        """See `Engine.accumulate`."""
        try:
            return self._pack.accumulate({self._number: Batch(batch, micro_batch)})[self._number]
        except SeatOutOfMemory as error:
            raise MemoryError(str(error)) from error

    def apply(self, learning_rate: float) -> None:
        """See `Engine.apply`."""
        self._pack.apply({self._number: learning_rate})

    def evaluate(self, blocks: Blocks) -> float:
        """See `Engine.evaluate`."""
        try:
            return self._pack.evaluate([self._number], blocks)[self._number]
        except SeatOutOfMemory as error:
            raise MemoryError(str(error)) from error

    def state(self) -> dict[str, torch.Tensor]:
        """See `Engine.state`."""
        return self._pack.state(self._number)

    def load_state(self, tensors: dict[str, torch.Tensor]) -> None:
        """See `Engine.load_state`."""
        self._pack.load_state(self._number, tensors)

    def save_adapter(self, folder: Path) -> None:
        """See `Engine.save_adapter`."""
        self._pack.save_adapter(self._number, folder)

    def finish(self) -> None:
        """See `Engine.finish`."""
        self._pack.finish(self._number)
