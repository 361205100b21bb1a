"""What every engine must do, on every device that is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from sweeper.data import IGNORED_TARGET, Blocks
from sweeper.errors import BaseError, CheckpointError
from sweeper.training.device import find_device
from sweeper.training.optimizer import BETAS
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.training.places import (
    KINDS,
    Kind,
    Place,
    Tensors,
    assert_equal_bits,
    copied,
    needs_cuda,
    started,
    weights,
    with_changes,
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


@with_changes({}, {"dropout": 0.4}, {"dropout": 0.4, "train_also": "embeddings+norms"})
def test_gradient_is_the_slope_of_the_loss(place: Place, changes: dict[str, Any]) -> None:
    """With dropout too: of the loss under the draws that the gradient was computed with."""
    distance = 3e-3
    with started(place, tiny.recipe(**changes, clip_norm=None)) as engine:
        place.train(range(1))
        there = without_mean(copied(engine))

        def loss_at(moved: Tensors) -> float:
            engine.load_state(there | moved)
            loss = engine.accumulate(place.batch(1), 3).train_loss
            engine.apply(0.0)
            assert loss is not None
            return loss

        loss_at({})
        gradients = {name: gradient_of(name, copied(engine)) for name in weights(engine)}
        for name, gradient in gradients.items():
            expected = float(gradient.norm())
            assert expected > 2e-3, "every weight must matter"
            step = distance / expected * gradient
            rise = loss_at({name: there[name] + step}) - loss_at({name: there[name] - step})
            assert rise / (2 * distance) == pytest.approx(expected, abs=6e-4), name


def without_mean(state: Tensors) -> Tensors:
    """A state with B as far from zero as A, and a running mean of gradients that is zero."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in state.items():
        if name.startswith("weight/") and "lora_B" in name:
            tensor.normal_(std=0.1, generator=generator)
        elif name.endswith("/exp_avg"):
            tensor.zero_()
    return state


def gradient_of(name: str, state: Tensors) -> torch.Tensor:
    """The gradient of a weight, read off the running mean that was zero a step ago."""
    return state[f"moment/{name.removeprefix('weight/')}/exp_avg"] / (1 - BETAS[0])


@with_changes({"dropout": 0.3}, {"train_also": "embeddings+norms"})
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


@with_changes({}, {"dropout": 0.4}, {"train_also": "embeddings+norms", "dropout": 0.1})
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


def test_state_of_a_fresh_engine_replaces_that_of_a_trained_one(place: Place) -> None:
    with started(place) as engine:
        saved = copied(engine)
        expected = place.train(range(2))
    with started(place, seed=99) as engine:
        place.train(range(1))
        engine.load_state(saved)
        assert_equal_bits(copied(engine), saved)
        assert place.train(range(2)) == expected


def test_start_does_not_depend_on_what_ran_before(place: Place) -> None:
    with started(place) as engine:
        fresh = copied(engine)
        expected = place.evaluate(), place.train(range(3)), copied(engine)
    with started(place, place.kind.widest, seed=8):
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


@with_changes({"rank": 5}, {"target_modules": "c_attn"}, {"train_also": "norms"})
def test_state_of_another_adapter_is_refused(place: Place, changes: dict[str, Any]) -> None:
    with started(place) as engine:
        saved = copied(engine)
    part = "shape" if "rank" in changes else "another adapter"
    with started(place, tiny.recipe(**changes)) as engine:
        tiny.assert_raises_with(CheckpointError, lambda: engine.load_state(saved), part)


def test_state_without_any_one_of_its_tensors_is_refused(place: Place) -> None:
    """Half of a weight's moments would do for a step, and train another adapter."""
    with started(place) as engine:
        place.train(range(1))
        saved = copied(engine)
        assert any(name.endswith("exp_avg_sq") for name in saved)
        for missing in saved:
            rest = {name: tensor for name, tensor in saved.items() if name != missing}
            with pytest.raises(CheckpointError):
                engine.load_state(rest)


@pytest.mark.parametrize("part", ["weight", "exp_avg", "exp_avg_sq", "step", "generator"])
def test_state_with_a_tensor_of_another_shape_is_refused(place: Place, part: str) -> None:
    """A generator's, for one, is that of another kind of device."""
    with started(place) as engine:
        place.train(range(1))
        saved = copied(engine)
        name = next(name for name in saved if part in {name.split("/")[0], name.split("/")[-1]})
        saved[name] = torch.zeros(3, dtype=saved[name].dtype)
        with pytest.raises(CheckpointError):
            engine.load_state(saved)


@pytest.mark.parametrize("extra", ["x", "weight/x", "moment/x", "moment/x/exp_avg", "generator/x"])
def test_state_with_a_tensor_too_many_is_refused(place: Place, extra: str) -> None:
    with started(place) as engine:
        place.train(range(1))
        saved = copied(engine) | {extra: torch.zeros(3)}
        before = copied(engine)
        with pytest.raises(CheckpointError):
            engine.load_state(saved)
        assert_equal_bits(copied(engine), before)


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


def test_base_is_as_it_was_after_finish(place: Place) -> None:
    blocks = place.bench.validation
    with started(place):
        expected = place.evaluate()
    for recipe in place.kind.recipes:
        with started(place, recipe):
            place.train(range(5))
            assert place.evaluate() != expected
    with started(place) as engine:
        place.train(range(0))
        engine.load_state(engine.state())  # an adapter that is not fresh is measured anew
        assert place.evaluate() == expected
        # ... or may be known for fresh by its count of steps: then other blocks are.
        assert engine.evaluate(Blocks(blocks.inputs, blocks.targets)) == expected


@contextmanager
def memory_fails_at(attention: int, way: str) -> Iterator[None]:
    """Let one of the attentions, which every engine computes by torch's, fail as allocators do.

    Args:
        attention: Which of them, from 1, in the order in which they are computed that way.
        way: `forth` or `back`.
    """
    turns = count(1)
    attend = functional.scaled_dot_product_attention

    def take_turn(*_: object) -> None:
        if next(turns) == attention:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    def attend_or_fail(*arguments: Any, **options: Any) -> torch.Tensor:
        if way == "forth":
            take_turn()
        mixed = attend(*arguments, **options)
        if way == "back":
            mixed.register_hook(take_turn)  # type: ignore[no-untyped-call]
        return mixed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "scaled_dot_product_attention", attend_or_fail)
        yield


@pytest.mark.parametrize("way", ["forth", "back"])
@pytest.mark.parametrize("attention", [1, 2, 3, 4, 5, 6])
def test_running_out_of_memory_changes_nothing(place: Place, attention: int, way: str) -> None:
    """In three passes of two layers: draws and gradients of those before must be undone."""
    error, part = place.kind.refusal
    recipe = tiny.recipe(dropout=0.3)
    with started(place, recipe) as engine:
        place.train(range(1))
        expected = place.train(range(1, 3), 2), copied(engine)
    with started(place, recipe) as engine:
        place.train(range(1))
        before = copied(engine)
        with memory_fails_at(attention, way), pytest.raises(error, match=part):
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
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_cuda_and_cpu_agree(benches: Workbench, kind: Kind) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        place = Place(kind.new(benches.base, find_device(1, device)), benches, kind)
        with started(place):
            # The adapter is drawn on the CPU: both start from the same bits.
            found[device] = [place.evaluate(), *(loss for loss, _ in place.train(range(5)))]
    np.testing.assert_allclose(found["cuda"], found["cpu"], atol=1e-3)
