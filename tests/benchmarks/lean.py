"""One trial by a hand-written loop: what a careful person would write for this one model.

Plain torch on the base's own weights, LoRA as two more products, torch's AdamW, no framework, no
checkpoint, no curve, no evaluation. Our engine alone is held against it.

Shapes: N blocks, S tokens, D width, H heads, R rank.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy, gelu, layer_norm, scaled_dot_product_attention

from sweeper.data import training_blocks
from sweeper.models.base import Base, load_model
from sweeper.models.lora import attach_adapter
from sweeper.study import Hyperparameters
from sweeper.study.schedule import learning_rate_at
from sweeper.training.device import find_device
from sweeper.training.workbench import set_up
from tests.benchmarks.job import Job

Weights = dict[str, torch.Tensor]
WARM_STEPS = 3


class LeanGPT2:
    """GPT-2 with an adapter on every projection, as functions of tensors."""

    def __init__(self, base: Base, recipe: Hyperparameters, device: str) -> None:
        self._heads = base.config["n_head"]
        self._layers = base.config["n_layer"]
        self._scale = recipe.alpha / recipe.rank
        self._weights = _base_weights(base.folder, device)
        self.adapter = _fresh_adapter(base, recipe, device)

    def loss(self, inputs_NS: torch.Tensor, targets_NS: torch.Tensor) -> torch.Tensor:
        """Mean loss over all tokens, in nats."""
        weights = self._weights
        block_size = inputs_NS.shape[1]
        x_NSD = weights["wte.weight"][inputs_NS] + weights["wpe.weight"][:block_size]
        for layer in range(self._layers):
            x_NSD = x_NSD + self._attend(self._norm(x_NSD, f"h.{layer}.ln_1"), f"h.{layer}.attn")
            x_NSD = x_NSD + self._mlp(self._norm(x_NSD, f"h.{layer}.ln_2"), f"h.{layer}.mlp")
        x_TD = self._norm(x_NSD, "ln_f").flatten(0, 1)
        return cross_entropy(x_TD @ weights["wte.weight"].T, targets_NS.flatten())

    def _norm(self, x_NSD: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return layer_norm(x_NSD, weight.shape, weight, bias)

    def _project(self, x_NSD: torch.Tensor, name: str) -> torch.Tensor:
        x_TD = x_NSD.flatten(0, 1)
        frozen = torch.addmm(self._weights[f"{name}.bias"], x_TD, self._weights[f"{name}.weight"])
        down_RD, up_DR = self.adapter[f"{name}.lora_A"], self.adapter[f"{name}.lora_B"]
        added = torch.addmm(frozen, x_TD @ down_RD.T, up_DR.T, alpha=self._scale)
        return added.view(*x_NSD.shape[:2], -1)

    def _attend(self, x_NSD: torch.Tensor, name: str) -> torch.Tensor:
        n, s, d = x_NSD.shape
        qkv = self._project(x_NSD, f"{name}.c_attn").view(n, s, 3, self._heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True)
        return self._project(mixed.transpose(1, 2).reshape(n, s, d), f"{name}.c_proj")

    def _mlp(self, x_NSD: torch.Tensor, name: str) -> torch.Tensor:
        hidden = gelu(self._project(x_NSD, f"{name}.c_fc"), approximate="tanh")
        return self._project(hidden, f"{name}.c_proj")


def _base_weights(folder: Path, device: str) -> Weights:
    tensors = load_file(folder / "model.safetensors", device=device)
    return {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}


def _fresh_adapter(base: Base, recipe: Hyperparameters, device: str) -> Weights:
    """The adapter that every arm starts from, by the names of the projections."""
    assert recipe.seed is not None, "recipes of a benchmark have seeds"
    adapted = attach_adapter(load_model(base), recipe, recipe.seed)
    adapter: Weights = {}
    for name, weight in adapted.named_parameters():
        if weight.requires_grad:
            place = name.removeprefix("base_model.model.transformer.").removesuffix(
                ".default.weight"
            )
            adapter[place] = weight.detach().to(device).clone().requires_grad_()
    return adapter


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Median seconds of a step, and the training loss of the last one."""
    job = Job.read(payload["job"])
    device = find_device(payload["threads"])
    bench = set_up(job.ground, device)
    seconds, losses = train(bench, job.recipes[0], job.tokens_per_trial)
    return {
        "step_s": statistics.median(seconds[WARM_STEPS:]),
        "tokens_per_step": job.recipes[0].tokens_per_step,
        "threads": device.threads,
        "last_train_loss": losses[-1],
    }


def train(bench: Any, recipe: Hyperparameters, tokens: int) -> tuple[list[float], list[float]]:
    """Train a recipe in fp32; the seconds and the training loss of every step."""
    model = LeanGPT2(bench.base, recipe, bench.device.kind)
    parameters = list(model.adapter.values())
    optimizer = torch.optim.AdamW(
        parameters, lr=0.0, weight_decay=recipe.weight_decay, foreach=True
    )
    stream = bench.stream(recipe.seed or 0)
    total_steps = tokens // recipe.tokens_per_step
    seconds, losses = [], []
    for step in range(total_steps):
        began = time.perf_counter()
        batch = training_blocks(
            stream,
            start_tokens=step * recipe.tokens_per_step,
            num_blocks=recipe.effective_batch,
            block_size=recipe.block_size,
        )
        total = 0.0
        for start in range(0, recipe.effective_batch, recipe.batch_size):
            part = slice(start, start + recipe.batch_size)
            inputs = torch.from_numpy(batch.inputs[part]).to(bench.device.kind)
            targets = torch.from_numpy(batch.targets[part]).to(bench.device.kind)
            loss = model.loss(inputs, targets) / recipe.accumulation
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, total_steps, recipe)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - began)
        losses.append(total)
    return seconds, losses
