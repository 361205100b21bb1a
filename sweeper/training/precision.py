"""Whether the frozen trunk is computed in bf16: measured on this device, checked on this base.

A device is measured once for a base and a corpus, and again for other code: all workers of a study
there compute alike, and their first steps do not wait for it.
"""

from __future__ import annotations

import platform
from functools import lru_cache

import torch

from sweeper.data import Blocks
from sweeper.kept import kept
from sweeper.models.base import Base
from sweeper.study import Hyperparameters, with_changes
from sweeper.training.device import Device, resolve_precision
from sweeper.training.kernels.choice import kernels_on
from sweeper.training.manifest import code_fingerprint
from sweeper.training.packed.engine import PackedEngine, is_packable
from sweeper.training.setup import PrecisionChoice
from sweeper.training.timing import median_seconds, seconds_per_token
from sweeper.training.workbench import Workbench

LEAST_GAIN = 1.1  # how many times faster a step in bf16 must be to be worth its rounding
# How many times slower a product may be: without bf16 arithmetic it is fifty times, and a step
# takes seconds. A small product alone says no more than that.
MOST_PRODUCT_LOSS = 2.0
# How many times slower a step of few tokens may be: trials of a pack that differ are computed in
# such pieces, and a base so narrow that they are slow in bf16 loses there what large steps gain.
MOST_SMALL_STEP_LOSS = 1.2
MOST_LOSS_SHIFT_NATS = 5e-3
_PRODUCT_ROWS = 64
_STEP_TOKENS = 1024
# Of a step that is timed: more would take minutes with a large base, whose few tokens say as much.
_STEP_FLOPS = 2e10
_LEAST_TOKENS = 128
_SMALL_BLOCK = 32
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def precision_on(bench: Workbench) -> PrecisionChoice:
    """What `precision: auto` is on a workbench: as decided before, or else measured now."""
    if bench.precision is not None:
        return bench.precision
    return choose_precision(bench.base, bench.device, bench.validation)


def resolved(recipe: Hyperparameters, choice: PrecisionChoice) -> Hyperparameters:
    """A recipe with what its `precision: auto` came to."""
    if recipe.precision != "auto":
        return recipe
    return with_changes(recipe, {"precision": choice.precision})


@lru_cache(maxsize=4)
def choose_precision(base: Base, device: Device, validation: Blocks) -> PrecisionChoice:
    """Measure fp32 against bf16, or remember what was measured in the same circumstances.

    The cheapest measurement that decides is the last: a matrix product, then a small step, then a
    large one, then the base's loss. A base that only the peft engine trains is not measured: bf16
    there where a GPU has it.

    Args:
        base: The base.
        device: Where it will be trained.
        validation: Gives blocks for the base's loss, of which some are taken.
    """
    if not is_packable(base):
        precision = resolve_precision("auto", device)
        return PrecisionChoice(precision, f"not measured for {base.config.get('model_type')}")
    most_tokens = 2 * _affordable_tokens(base)  # evaluated, which costs half of a step
    num_blocks = max(most_tokens // validation.inputs.shape[1], 1)
    some = Blocks(validation.inputs[:num_blocks], validation.targets[:num_blocks])
    choice = kept(
        "precision",
        [
            code_fingerprint(),
            torch.__version__,
            platform.node(),
            dict(torch.cpu.get_capabilities()),
            device.as_dict(),
            kernels_on(torch.device(device.kind)),
            base.fingerprint,
            some.inputs.tolist(),
            some.targets.tolist(),
        ],
        lambda: _measured(base, device, some).as_dict(),
    )
    return PrecisionChoice(**choice)


def _measured(base: Base, device: Device, some: Blocks) -> PrecisionChoice:
    product_ms = {p: _product_ms(base, device, dtype) for p, dtype in _TYPES.items()}
    if product_ms["bf16"] > MOST_PRODUCT_LOSS * product_ms["fp32"]:
        return PrecisionChoice("fp32", _compared("a matrix product", product_ms), product_ms)
    engine = PackedEngine(base, device)
    small_ms = {p: _step_ms(engine, device, p, _LEAST_TOKENS, _SMALL_BLOCK) for p in _TYPES}
    if small_ms["bf16"] > MOST_SMALL_STEP_LOSS * small_ms["fp32"]:
        reason = _compared(f"a step of {_LEAST_TOKENS} tokens", small_ms)
        return PrecisionChoice("fp32", reason, product_ms, small_ms)
    num_tokens = _affordable_tokens(base)
    step_ms = {p: _step_ms(engine, device, p, num_tokens, _LEAST_TOKENS) for p in _TYPES}
    if step_ms["fp32"] < LEAST_GAIN * step_ms["bf16"]:
        return PrecisionChoice("fp32", _compared("a step", step_ms), product_ms, step_ms)
    base_loss = {precision: _base_loss(engine, precision, some) for precision in _TYPES}
    shift_nats = abs(base_loss["bf16"] - base_loss["fp32"])
    if not shift_nats <= MOST_LOSS_SHIFT_NATS:
        reason = f"bf16 shifts the base's loss by {shift_nats:.4f} nats"
        return PrecisionChoice("fp32", reason, product_ms, step_ms, base_loss)
    reason = f"{_compared('a step', step_ms)}; the base's loss shifts by {shift_nats:.4f} nats"
    return PrecisionChoice("bf16", reason, product_ms, step_ms, base_loss)


def _compared(what: str, times_ms: dict[str, float]) -> str:
    return f"{what} takes {times_ms['fp32']:.2f} ms in fp32, {times_ms['bf16']:.2f} ms in bf16"


def _product_ms(base: Base, device: Device, dtype: torch.dtype) -> float:
    width = int(base.config["n_embd"])
    left = torch.ones(_PRODUCT_ROWS, width, dtype=dtype, device=device.kind)
    right = torch.ones(width, 4 * width, dtype=dtype, device=device.kind)
    return 1e3 * median_seconds(lambda: torch.mm(left, right), device)


def _step_ms(
    engine: PackedEngine, device: Device, precision: str, num_tokens: int, block_size: int
) -> float:
    """Of so many tokens in such blocks, or in as long ones as the base takes."""
    block_size = min(engine.base.max_block_size or num_tokens, block_size)
    shape = {"block_size": block_size, "batch_size": num_tokens // block_size}
    recipe = with_changes(Hyperparameters(), {**shape, "precision": precision})
    num_tokens = shape["block_size"] * shape["batch_size"]
    return 1e3 * num_tokens * seconds_per_token(engine, engine.base, recipe, device)


def _affordable_tokens(base: Base) -> int:
    """Tokens of a step of 4 N operations each: forward, and back to the inputs."""
    config = base.config
    width = int(config["n_embd"])
    parameters = 12 * int(config["n_layer"]) * width**2 + int(config["vocab_size"]) * width
    affordable = int(_STEP_FLOPS / (4 * parameters))
    return min(max(affordable, _LEAST_TOKENS), _STEP_TOKENS)


def _base_loss(engine: PackedEngine, precision: str, validation: Blocks) -> float:
    engine.start(0, with_changes(Hyperparameters(), {"precision": precision}), seed=0)
    try:
        return engine.evaluate([0], validation)[0]
    finally:
        engine.finish(0)
