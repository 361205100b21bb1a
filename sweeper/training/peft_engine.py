"""The reference engine: transformers and peft as they are, for any causal language model.

Shapes: N blocks of an effective batch, S tokens of a block, V vocabulary.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from sweeper.data import IGNORED_TARGET, Blocks
from sweeper.models.base import Base, load_model
from sweeper.models.lora import attach_adapter, detach_adapter, save_adapter
from sweeper.study import Hyperparameters
from sweeper.training.device import Device, autocast, is_out_of_memory, release_memory
from sweeper.training.engine import EVALUATION_TOKENS, Gradient, check_state
from sweeper.training.optimizer import (
    clip_gradient,
    gradient_norm,
    load_optimizer_state,
    moment_shapes,
    new_optimizer,
    optimizer_state,
)


class PeftEngine:
    """Trains one peft adapter at a time on one base, kept loaded between trials.

    Others may train in the same process between two of its steps.
    """

    def __init__(self, base: Base, device: Device) -> None:
        """Load the base onto the device.

        Raises:
            BaseError: The base cannot be loaded.
        """
        self._base = base
        self._device = device
        self._base_losses: dict[tuple[Blocks, str], float] = {}
        self._model = load_model(base).to(device.kind)  # type: ignore[arg-type]  # stubs know no str

    def start(self, hyperparameters: Hyperparameters, seed: int) -> None:
        """See `Engine.start`."""
        self._hyperparameters = hyperparameters
        self._adapted = attach_adapter(self._model, hyperparameters, seed)
        self._adapted.to(self._device.kind)
        self._weights = {
            name: weight
            for name, weight in self._adapted.named_parameters()
            if weight.requires_grad
        }
        self._optimizer = new_optimizer(self._weights, hyperparameters.weight_decay)
        self._is_fresh = True
        torch.manual_seed(seed)
        # The process's own, which other runs draw from as well; these are this run's.
        self._generators = self._process_generators()

    def accumulate(self, batch: Blocks, micro_batch: int) -> Gradient:
        """See `Engine.accumulate`."""
        self._load_process_generators(self._generators)
        num_targets = batch.num_targets
        self._adapted.train()
        try:
            total = torch.zeros((), dtype=torch.float64)
            for start in range(0, len(batch.inputs), micro_batch):
                loss = self._loss_sum(batch, slice(start, start + micro_batch))
                (loss / max(num_targets, 1)).backward()  # type: ignore[no-untyped-call]
                total += loss.detach().double().cpu()
            self._norm = gradient_norm(self._weights)
            norm = float(self._norm)
        except (RuntimeError, MemoryError) as error:
            self._optimizer.zero_grad(set_to_none=True)
            if is_out_of_memory(error):
                release_memory(self._device)
            raise
        self._generators = self._process_generators()
        return Gradient(float(total) / num_targets if num_targets else None, norm)

    def _loss_sum(self, batch: Blocks, part: slice) -> torch.Tensor:
        inputs = torch.from_numpy(batch.inputs[part]).to(self._device.kind)
        targets = torch.from_numpy(batch.targets[part]).to(self._device.kind)
        with autocast(self._device, self._hyperparameters.precision):
            logits_NSV = self._adapted(input_ids=inputs, use_cache=False).logits
        return cross_entropy(
            logits_NSV.float().flatten(0, 1),
            targets.flatten(),
            ignore_index=IGNORED_TARGET,
            reduction="sum",
        )

    def apply(self, learning_rate: float) -> None:
        """See `Engine.apply`."""
        if self._hyperparameters.clip_norm is not None:
            clip_gradient(self._weights, self._hyperparameters.clip_norm, self._norm)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._is_fresh = False
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def evaluate(self, blocks: Blocks) -> float:
        """See `Engine.evaluate`.

        A fresh adapter adds exact zeros: the base's own loss is computed once.
        """
        key = (blocks, self._hyperparameters.precision)
        if not self._is_fresh:
            return self._mean_loss(blocks)
        if key not in self._base_losses:
            self._base_losses[key] = self._mean_loss(blocks)
        return self._base_losses[key]

    def _mean_loss(self, blocks: Blocks) -> float:
        self._adapted.eval()
        size = max(EVALUATION_TOKENS // blocks.inputs.shape[1], 1)
        total = 0.0
        for start in range(0, len(blocks.inputs), size):
            total += float(self._loss_sum(blocks, slice(start, start + size)))
        return total / blocks.num_targets

    def state(self) -> dict[str, torch.Tensor]:
        """See `Engine.state`."""
        weights = {f"weight/{name}": w.detach().cpu() for name, w in self._weights.items()}
        moments = optimizer_state(self._optimizer, self._weights)
        return {
            **weights,
            **{f"moment/{name}": tensor for name, tensor in moments.items()},
            **{f"generator/{name}": tensor for name, tensor in self._generators.items()},
        }

    def load_state(self, tensors: dict[str, torch.Tensor]) -> None:
        """See `Engine.load_state`."""
        moments = moment_shapes(self._weights)
        has_moments = any(name.startswith("moment/") for name in tensors)
        found = self._with_generators_of_here(tensors)
        shapes = {
            **{f"weight/{name}": weight.shape for name, weight in self._weights.items()},
            **{f"moment/{name}": shape for name, shape in moments.items() if has_moments},
            **{f"generator/{kind}": state.shape for kind, state in self._generators.items()},
        }
        check_state(found, shapes)
        self._is_fresh = False
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(found[f"weight/{name}"])
        saved = {name: found[f"moment/{name}"] for name in moments if has_moments}
        load_optimizer_state(self._optimizer, self._weights, saved)
        self._generators = {kind: found[f"generator/{kind}"] for kind in self._generators}

    def _with_generators_of_here(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A run that began on another kind of device goes on with this one's generators."""
        here = {f"generator/{k}": state for k, state in self._generators.items() if k != "cpu"}
        elsewhere = {"generator/cuda", "generator/mps"} - here.keys()
        return {**here, **{name: t for name, t in tensors.items() if name not in elsewhere}}

    def _process_generators(self) -> dict[str, torch.Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self._device.kind == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        elif self._device.kind == "mps":
            states["mps"] = torch.mps.get_rng_state()
        return states

    def _load_process_generators(self, states: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["cpu"])
        if self._device.kind == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"])
        elif self._device.kind == "mps" and "mps" in states:
            torch.mps.set_rng_state(states["mps"])

    def save_adapter(self, folder: Path) -> None:
        """See `Engine.save_adapter`."""
        save_adapter(self._adapted, folder, self._base)

    def finish(self) -> None:
        """See `Engine.finish`."""
        self._model = detach_adapter(self._adapted)
        del self._adapted, self._weights, self._optimizer
