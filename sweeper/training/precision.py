"""Whether the frozen trunk is computed in bf16: measured on this device, checked on this base."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from sweeper.data import Blocks
from sweeper.models.base import Base
from sweeper.study import Hyperparameters
from sweeper.training.device import Device, resolve_precision
from sweeper.training.engine import Batch
from sweeper.training.packed.engine import PackedEngine, is_packable
from sweeper.training.setup import PrecisionChoice
from sweeper.training.workbench import Workbench

LEAST_GAIN = 1.1  # how many times faster bf16 must be to be worth its rounding
MOST_LOSS_SHIFT_NATS = 5e-3
_PRODUCT_ROWS = 64
_STEP_TOKENS = 512
_REPEATS = 3
_LOSS_BLOCKS = 16
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def precision_on(bench: Workbench) -> PrecisionChoice:
    """What `precision: auto` is on a workbench: as decided before, or else measured now."""
    if bench.precision is not None:
        return bench.precision
    return choose_precision(bench.base, bench.device, bench.validation)


@lru_cache(maxsize=4)
def choose_precision(base: Base, device: Device, validation: Blocks) -> PrecisionChoice:
    """Measure fp32 against bf16, once in a process.

    The cheapest measurement that decides is the last: a matrix product, then a step, then the
    base's loss. A base that only the peft engine trains is not measured: bf16 there where a GPU
    has it.

    Args:
        base: The base.
        device: Where it will be trained.
        validation: Gives blocks for the base's loss, of which some are taken.
    """
    if not is_packable(base):
        precision = resolve_precision("auto", device)
        return PrecisionChoice(precision, f"not measured for {base.config.get('model_type')}")
    product_ms = {p: _product_ms(base, device, dtype) for p, dtype in _TYPES.items()}
    if product_ms["fp32"] < LEAST_GAIN * product_ms["bf16"]:
        return PrecisionChoice("fp32", _compared("a matrix product", product_ms), product_ms)
    engine = PackedEngine(base, device)
    step_ms = {precision: _step_ms(engine, device, precision) for precision in _TYPES}
    if step_ms["fp32"] < LEAST_GAIN * step_ms["bf16"]:
        return PrecisionChoice("fp32", _compared("a step", step_ms), product_ms, step_ms)
    some = Blocks(validation.inputs[:_LOSS_BLOCKS], validation.targets[:_LOSS_BLOCKS])
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
    return _median_ms(lambda: torch.mm(left, right), device)


def _step_ms(engine: PackedEngine, device: Device, precision: str) -> float:
    block_size = min(engine.base.max_block_size or _STEP_TOKENS, 128)
    num_blocks = _STEP_TOKENS // block_size
    recipe = Hyperparameters(
        block_size=block_size, batch_size=num_blocks, precision=_checked(precision)
    )
    draws = np.random.default_rng(0)
    vocabulary = int(engine.base.config["vocab_size"])
    tokens = draws.integers(0, vocabulary, (num_blocks, block_size))
    batch = Batch(Blocks(tokens, np.roll(tokens, -1, axis=1)), num_blocks)
    engine.start(0, recipe, seed=0)

    def step() -> None:
        engine.accumulate({0: batch})
        engine.apply({0: 1e-4})

    try:
        return _median_ms(step, device)
    finally:
        engine.finish(0)


def _checked(precision: str) -> Any:
    assert precision in _TYPES
    return precision


def _base_loss(engine: PackedEngine, precision: str, validation: Blocks) -> float:
    engine.start(0, Hyperparameters(precision=_checked(precision)), seed=0)
    try:
        return engine.evaluate([0], validation)[0]
    finally:
        engine.finish(0)


def _median_ms(work: Callable[[], object], device: Device) -> float:
    """Median over some repeats, the first left out."""
    times_ms = []
    for _ in range(1 + _REPEATS):
        began = time.perf_counter()
        work()
        if device.kind == "cuda":
            torch.cuda.synchronize()
        elif device.kind == "mps":
            torch.mps.synchronize()
        times_ms.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times_ms[1:])
