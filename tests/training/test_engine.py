"""What every engine must do, on every device that is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from sweeper.data import IGNORED_TARGET, Blocks
from sweeper.errors import BaseError, CheckpointError
from sweeper.training.device import find_device
from sweeper.training.peft_engine import PeftEngine
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.training.places import (
    ALL_MODULES,
    Place,
    assert_equal_bits,
    copied,
    needs_cuda,
    started,
    weights,
)


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 4, 5, 6, 9])
def test_micro_batches_of_any_size_give_the_gradient_of_one_big_batch(
    place: Place, micro_batch: int
) -> None:
    counted = np.count_nonzero(place.batch().targets != IGNORED_TARGET, axis=1)
    assert len(set(counted)) > 2, "blocks must differ, or a mean of means would pass"
    with started(place) as engine:
        one = place.train(range(2))
        expected = weights(engine)
    with started(place) as engine:
        cut = place.train(range(2), micro_batch)
        found = weights(engine)
    np.testing.assert_allclose(cut, one, rtol=1e-5)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-6)


def test_train_loss_is_the_mean_over_counted_targets_of_the_base(place: Place) -> None:
    batch = place.batch()
    model = AutoModelForCausalLM.from_pretrained(place.bench.base.folder).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(batch.inputs)).logits
    expected = cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.targets).flatten())
    with started(place) as engine:
        gradient = engine.accumulate(batch, 2)
    assert gradient.train_loss == pytest.approx(float(expected), abs=1e-5)
    assert gradient.grad_norm > 0


def test_batch_without_targets_has_no_loss_and_moves_nothing(place: Place) -> None:
    batch = place.batch()
    empty = Blocks(batch.inputs, np.full_like(batch.targets, IGNORED_TARGET))
    with started(place) as engine:
        before = weights(engine)
        gradient = engine.accumulate(empty, 3)
        engine.apply(5e-3)
        assert gradient.train_loss is None
        assert gradient.grad_norm == 0
        assert_equal_bits(weights(engine), before)
        assert all(torch.isfinite(t).all() for t in engine.state().values())


@pytest.mark.parametrize("changes", [{"dropout": 0.3}, {"train_also": "embeddings+norms"}])
def test_training_lowers_the_validation_loss(place: Place, changes: dict[str, Any]) -> None:
    with started(place, tiny.recipe(**changes)):
        before = place.evaluate()
        place.train(range(20))
        assert place.evaluate() < before - 0.02


def test_clipping_bounds_the_update_and_reports_the_norm_before_it(place: Place) -> None:
    norms = []
    for clip_norm in (None, 1e-12):
        with started(place, tiny.recipe(clip_norm=clip_norm)) as engine:
            before = weights(engine)
            norms.append(place.train(range(1))[0][1])
            moved = max(float((weights(engine)[n] - before[n]).abs().max()) for n in before)
        # AdamW's first step is the rate, unless the gradient vanishes beside epsilon (1e-8).
        assert moved == pytest.approx(5e-3, rel=0.02) if clip_norm is None else moved < 1e-5
    assert norms[0] == norms[1] > 1e-3


@pytest.mark.parametrize(
    "changes", [{}, {"dropout": 0.4}, {"train_also": "embeddings+norms", "dropout": 0.1}]
)
def test_loaded_state_continues_bit_for_bit(place: Place, changes: dict[str, Any]) -> None:
    recipe = tiny.recipe(**changes)
    with started(place, recipe) as engine:
        place.train(range(3))
        saved = copied(engine)
        expected = place.train(range(3, 6)), copied(engine), place.evaluate()
    with started(place, recipe, seed=99) as engine:
        place.train(range(1))
        engine.load_state(saved)
        assert_equal_bits(copied(engine), saved)
        found = place.train(range(3, 6)), copied(engine), place.evaluate()
    assert found[0] == expected[0]
    assert_equal_bits(found[1], expected[1])
    assert found[2] == expected[2]


def test_state_of_a_fresh_engine_continues_bit_for_bit(place: Place) -> None:
    with started(place) as engine:
        saved = copied(engine)
        expected = place.evaluate(), place.train(range(2))
    with started(place, seed=99) as engine:
        engine.load_state(saved)
        assert (place.evaluate(), place.train(range(2))) == expected


def test_start_does_not_depend_on_what_ran_before(place: Place) -> None:
    with started(place) as engine:
        fresh = copied(engine)
        expected = place.evaluate(), place.train(range(3)), copied(engine)
    with started(place, ALL_MODULES, seed=8):
        place.train(range(3))
    with started(place) as engine:
        assert_equal_bits(copied(engine), fresh)
        found = place.evaluate(), place.train(range(3)), copied(engine)
    assert found[:2] == expected[:2]
    assert_equal_bits(found[2], expected[2])


def test_seeds_start_from_different_bits(place: Place) -> None:
    with started(place, seed=1) as engine:
        one = weights(engine)
    with started(place, seed=2) as engine:
        other = weights(engine)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_state_of_another_adapter_is_refused(place: Place) -> None:
    with started(place) as engine:
        saved = copied(engine)
    other_shape = tiny.recipe(rank=5)
    other_modules = tiny.recipe(target_modules="c_attn")
    with_norms = tiny.recipe(train_also="norms")
    for recipe, part in [
        (other_shape, "shape"),
        (other_modules, "another adapter"),
        (with_norms, "another adapter"),
    ]:
        with started(place, recipe) as engine:
            tiny.assert_raises_with(CheckpointError, lambda e=engine: e.load_state(saved), part)


def test_state_with_half_of_a_weights_moments_is_refused(place: Place) -> None:
    with started(place) as engine:
        place.train(range(1))
        saved = copied(engine)
        del saved[next(name for name in saved if name.endswith("exp_avg_sq"))]
        with pytest.raises(CheckpointError):
            engine.load_state(saved)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_evaluation_leaves_training_as_it_was(place: Place, dropout: float) -> None:
    recipe = tiny.recipe(dropout=dropout)
    with started(place, recipe) as engine:
        expected = place.train(range(4)), copied(engine)
    with started(place, recipe) as engine:
        seen = []
        for step in range(4):
            place.evaluate()
            before = copied(engine)
            place.evaluate()
            assert_equal_bits(copied(engine), before)
            seen += place.train(range(step, step + 1))
        assert seen == expected[0]
        assert_equal_bits(copied(engine), expected[1])


def test_evaluation_weighs_every_counted_target_the_same(place: Place) -> None:
    """More blocks than fit one forward pass; the mean is over targets, not over passes."""
    blocks = place.batch(num_blocks=300)
    halves = [Blocks(blocks.inputs[part], blocks.targets[part]) for part in (_FIRST, _REST)]
    with started(place) as engine:
        place.train(range(1))
        losses = [engine.evaluate(half) for half in halves]
        sizes = [half.num_targets for half in halves]
        assert sizes[0] != sizes[1]
        assert engine.evaluate(blocks) == pytest.approx(np.average(losses, weights=sizes), abs=1e-6)


_FIRST, _REST = slice(0, 100), slice(100, 300)


def test_fresh_adapter_is_measured_on_the_blocks_that_are_given(place: Place) -> None:
    """The base's own loss may be kept, but never for other blocks that came to lie in its place."""
    recipe = tiny.RECIPE
    with started(place, recipe) as engine:
        losses = [engine.evaluate(place.batch(step)) for step in range(6)]
        assert len(set(losses)) == 6


def test_base_is_as_it_was_after_finish(place: Place, tmp_path: Path) -> None:
    with started(place):
        expected = place.evaluate()
    for recipe in (ALL_MODULES, tiny.recipe(train_also="norms"), tiny.RECIPE):
        with started(place, recipe):
            place.train(range(5))
            assert place.evaluate() != expected
    with started(place) as engine:
        place.train(range(0))
        engine.load_state(engine.state())  # an adapter that is not fresh is measured anew
        assert place.evaluate() == expected


@contextmanager
def memory_fails_at(forward_pass: int) -> Iterator[None]:
    """Let one forward pass of a GPT-2 fail as an allocator does."""
    passes = iter(range(1, 1_000))

    def fail(module: torch.nn.Module, _: object) -> None:
        if isinstance(module, GPT2LMHeadModel) and next(passes) == forward_pass:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    hook = register_module_forward_pre_hook(fail)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("forward_pass", [1, 2, 3])
def test_running_out_of_memory_changes_nothing(place: Place, forward_pass: int) -> None:
    recipe = tiny.recipe(dropout=0.3)
    with started(place, recipe) as engine:
        place.train(range(1))
        expected = place.train(range(1, 3), 2), copied(engine)
    with started(place, recipe) as engine:
        place.train(range(1))
        before = copied(engine)
        with memory_fails_at(forward_pass), pytest.raises(RuntimeError, match="allocate memory"):
            engine.accumulate(place.batch(1), 3)
        assert_equal_bits(copied(engine), before)
        found = place.train(range(1, 3), 2), copied(engine)
    assert found[0] == expected[0]
    assert_equal_bits(found[1], expected[1])


def test_recipe_that_does_not_fit_leaves_the_base_alone(place: Place) -> None:
    with started(place) as engine:
        fresh, expected = copied(engine), place.train(range(2))
    for modules in ("nowhere", "c_attn+nowhere", "c_attn+ln_2"):
        with pytest.raises(BaseError):
            place.engine.start(tiny.recipe(target_modules=modules), 0)
    with started(place) as engine:
        assert_equal_bits(copied(engine), fresh)
        assert place.train(range(2)) == expected


def test_bf16_trains_to_about_the_same_loss(place: Place) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        with started(place, tiny.recipe(precision=precision)) as engine:
            seen = place.train(range(6))
            losses[precision] = place.evaluate()
            assert all(w.dtype == torch.float32 for w in weights(engine).values())
            assert np.isfinite(np.array(seen, dtype=float)).all()
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], abs=0.05)


@needs_cuda
def test_cuda_and_cpu_agree(benches: Workbench, tmp_path: Path) -> None:
    found = {}
    for kind in ("cpu", "cuda"):
        engine = PeftEngine(benches.base, find_device(1, kind))
        place = Place(engine, benches)
        with started(place):
            # The adapter is drawn on the CPU: both start from the same bits.
            found[kind] = [place.evaluate(), *(loss for loss, _ in place.train(range(5)))]
    np.testing.assert_allclose(found["cuda"], found["cpu"], atol=1e-3)
