"""The packed engine against the peft engine, and each of its seats against itself alone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import PeftModel
from transformers import AutoModelForCausalLM

from sweeper.data import Blocks, training_blocks
from sweeper.errors import BaseError, CheckpointError
from sweeper.study import Hyperparameters
from sweeper.study.schedule import learning_rate_at
from sweeper.training.engine import Batch, Engine, SeatOutOfMemory
from sweeper.training.packed import propagation
from sweeper.training.packed.engine import PackedEngine, fits
from sweeper.training.peft_engine import PeftEngine
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.training.places import DEVICES

STEPS = 6
# One recipe for every hyperparameter that the engine knows, each different in that alone.
CHANGES: dict[str, dict[str, Any]] = {
    "the same": {},
    "block size": {"block_size": 32},
    "odd blocks": {"block_size": 11, "batch_size": 3},
    "batch size": {"batch_size": 1},
    "accumulation": {"accumulation": 3},
    "learning rate": {"learning_rate": 3e-2},
    "schedule": {"schedule": "linear"},
    "warmup": {"warmup": 5, "warmup_start_factor": 0.0},
    "floor": {"floor_factor": 0.5},
    "weight decay": {"weight_decay": 0.5},
    "clipping": {"clip_norm": 0.03},
    "no clipping": {"clip_norm": None},
    "rank": {"rank": 5},
    "alpha": {"alpha": 32.0},
    "some modules": {"target_modules": "c_fc+attn.c_proj"},
    "upper layers": {"target_modules": "h.1.mlp.c_proj+h.1.attn.c_attn"},
    "seed": {"seed": 11},
    "bf16": {"precision": "bf16"},
}
RECIPES = [tiny.recipe(**changes) for changes in CHANGES.values()]


@dataclass(frozen=True)
class Trace:
    """What a trial showed: losses and norms of its steps, and its validation loss at the end."""

    losses: list[float]
    norms: list[float]
    val_loss: float
    weights: dict[str, torch.Tensor]


class Ground:
    """Data, and both engines, on one device."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.peft = PeftEngine(bench.base, bench.device)

    def pack(self, num_seats: int = 1, **options: Any) -> PackedEngine:
        return PackedEngine(self.bench.base, self.bench.device, num_seats=num_seats, **options)

    def batch(self, recipe: Hyperparameters, step: int) -> Batch:
        blocks = training_blocks(
            self.bench.stream(seed(recipe)),
            start_tokens=step * recipe.tokens_per_step,
            num_blocks=recipe.effective_batch,
            block_size=recipe.block_size,
        )
        return Batch(blocks, recipe.batch_size)

    def alone(self, engine: Engine, recipe: Hyperparameters, steps: int = STEPS) -> Trace:
        engine.start(recipe, seed(recipe))
        try:
            gradients = []
            for step in range(steps):
                gradients.append(engine.accumulate(*self.batch(recipe, step)))
                engine.apply(learning_rate_at(step, steps, recipe))
            return self.trace(engine, gradients, engine.evaluate(self.bench.validation))
        finally:
            engine.finish()

    def together(
        self,
        pack: PackedEngine,
        recipes: Sequence[Hyperparameters],
        steps: int = STEPS,
        poisoned: Sequence[int] = (),
    ) -> list[Trace]:
        numbers = range(len(recipes))
        for number, recipe in enumerate(recipes):
            pack.seats[number].start(recipe, seed(recipe))
        for number in poisoned:
            poison(pack.seats[number])
        gradients: list[list[Any]] = [[] for _ in numbers]
        for step in range(steps):
            found = pack.accumulate({n: self.batch(recipes[n], step) for n in numbers})
            pack.apply({n: learning_rate_at(step, steps, recipes[n]) for n in numbers})
            for n in numbers:
                gradients[n].append(found[n])
        losses = pack.evaluate(numbers, self.bench.validation)
        traces = [self.trace(pack.seats[n], gradients[n], losses[n]) for n in numbers]
        for n in numbers:
            pack.seats[n].finish()
        return traces

    def trace(self, engine: Engine, gradients: Sequence[Any], val_loss: float) -> Trace:
        state = engine.state()
        weights = {
            name.replace(".default.weight", "").split("base_model.model.")[1]: tensor.clone()
            for name, tensor in state.items()
            if name.startswith("weight/")
        }
        losses = [math.nan if g.train_loss is None else g.train_loss for g in gradients]
        return Trace(losses, [gradient.grad_norm for gradient in gradients], val_loss, weights)


def seed(recipe: Hyperparameters) -> int:
    assert recipe.seed is not None
    return recipe.seed


def assert_alike(found: Trace, expected: Trace, atol: float = 2e-5) -> None:
    np.testing.assert_allclose(found.losses, expected.losses, rtol=0, atol=atol)
    np.testing.assert_allclose(found.norms, expected.norms, rtol=20 * atol, atol=atol)
    assert found.val_loss == pytest.approx(expected.val_loss, abs=atol)
    assert found.weights.keys() == expected.weights.keys()
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name], weight, rtol=0, atol=20 * atol)


@pytest.fixture(scope="module", params=DEVICES)
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("packed")
    return Ground(tiny.new_bench(folder, loss_on="answers", device=request.param))


@pytest.fixture(scope="module")
def alone(ground: Ground) -> list[Trace]:
    """Every recipe alone, in a pack of one seat."""
    pack = ground.pack()
    return [ground.alone(pack.seats[0], recipe) for recipe in RECIPES]


@pytest.mark.parametrize("name", [name for name in CHANGES if name != "bf16"])
def test_recipe_alone_is_what_peft_makes_of_it(
    ground: Ground, alone: list[Trace], name: str
) -> None:
    number = list(CHANGES).index(name)
    assert_alike(alone[number], ground.alone(ground.peft, RECIPES[number]))


def test_recipes_really_differ(alone: list[Trace]) -> None:
    """But for the clipping that is off: no norm is above 1 here."""
    losses = {n: t.val_loss for n, t in zip(CHANGES, alone, strict=True) if n != "no clipping"}
    assert len(set(losses.values())) == len(losses)


def test_bf16_is_about_what_fp32_is(alone: list[Trace]) -> None:
    fp32, bf16 = alone[0], alone[list(CHANGES).index("bf16")]
    assert bf16.val_loss == pytest.approx(fp32.val_loss, abs=0.02)
    np.testing.assert_allclose(bf16.losses, fp32.losses, atol=0.02)
    assert all(weight.dtype == torch.float32 for weight in bf16.weights.values())


def test_neighbours_of_all_kinds_change_nothing(ground: Ground, alone: list[Trace]) -> None:
    for found, expected in zip(
        ground.together(ground.pack(len(RECIPES)), RECIPES), alone, strict=True
    ):
        assert_alike(found, expected)


def poison(seat: Engine) -> None:
    """Let a seat's trial be as one that has diverged."""
    weights = {n: t.fill_(math.nan) for n, t in seat.state().items() if n.startswith("weight/")}
    seat.load_state(seat.state() | weights)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_neighbours_that_diverge_change_nothing(
    ground: Ground, alone: list[Trace], place: int
) -> None:
    others = {n: tiny.recipe(rank=7 - n) for n in range(3) if n != place}
    recipes = {**others, place: RECIPES[0]}
    traces = ground.together(ground.pack(3), [recipes[n] for n in range(3)], poisoned=list(others))
    assert_alike(traces[place], alone[0])
    for number in others:
        assert np.isnan(traces[number].losses).all()
        assert np.isnan(traces[number].val_loss)


def test_seat_of_a_diverged_trial_is_as_good_as_new(ground: Ground, alone: list[Trace]) -> None:
    pack = ground.pack(2)
    ground.together(pack, RECIPES[:2], poisoned=[0, 1])
    for found, expected in zip(ground.together(pack, RECIPES[:2]), alone, strict=False):
        assert_alike(found, expected)


def test_trial_that_starts_amid_others_is_as_if_alone(ground: Ground, alone: list[Trace]) -> None:
    """A larger rank and other modules come and go while a trial is trained."""
    pack = ground.pack(3)
    late = RECIPES[list(CHANGES).index("some modules")]
    ground_batches = [ground.batch(RECIPES[0], step) for step in range(STEPS)]
    first, guest = pack.seats[0], pack.seats[2]
    first.start(RECIPES[0], seed(RECIPES[0]))
    gradients = []
    for step, batch in enumerate(ground_batches):
        batches = {0: batch}
        if step == 2:
            guest.start(tiny.recipe(rank=9), 5)
        if 2 <= step < 4:
            batches[2] = ground.batch(RECIPES[3], step)
        found = pack.accumulate(batches)
        gradients.append(found[0])
        rate = learning_rate_at(step, STEPS, RECIPES[0])
        pack.apply(dict.fromkeys(batches, rate))
        if step == 3:
            guest.finish()
            guest.start(late, seed(late))
    trace = ground.trace(first, gradients, first.evaluate(ground.bench.validation))
    assert_alike(trace, alone[0])


def test_padding_stays_zero(ground: Ground) -> None:
    pack = ground.pack(2)
    small, large = tiny.recipe(target_modules="c_fc", rank=2), tiny.recipe(rank=6, weight_decay=0.1)
    for number, recipe in enumerate((small, large)):
        pack.seats[number].start(recipe, 0)
    bank = pack.bank
    of_small = bank.weights_KP[0].clone()
    assert 0 < torch.count_nonzero(of_small) < torch.count_nonzero(bank.weights_KP[1])
    for step in range(4):
        pack.accumulate({n: ground.batch(r, step) for n, r in enumerate((small, large))})
        pack.apply({0: 0.1, 1: 0.1})
    held = sum(weight.numel() for weight in bank.weights(0).values())
    assert torch.count_nonzero(bank.weights_KP[0]) == held


@pytest.mark.parametrize("recipe", [RECIPES[0], tiny.recipe(dropout=0.3, batch_size=2)])
def test_micro_batches_fill_passes_without_a_trace(ground: Ground, recipe: Hyperparameters) -> None:
    whole = ground.alone(ground.pack().seats[0], recipe)
    for most_tokens in (1, 40, 100):
        assert_alike(ground.alone(ground.pack(most_tokens=most_tokens).seats[0], recipe), whole)


def test_dropout_is_the_trials_own(ground: Ground) -> None:
    """Draws do not depend on the neighbours, with or without dropout of their own."""
    recipe = tiny.recipe(dropout=0.4, accumulation=2)
    expected = ground.alone(ground.pack().seats[0], recipe)
    for others in (
        [tiny.recipe(dropout=0.1), tiny.recipe()],
        [tiny.recipe(target_modules="c_fc", dropout=0.5), tiny.recipe(seed=5, dropout=0.4)],
    ):
        found = ground.together(ground.pack(3), [others[0], recipe, others[1]])
        assert_alike(found[1], expected)
    other_seed = ground.alone(ground.pack().seats[0], recipe.model_copy(update={"seed": 4}))
    assert other_seed.losses != expected.losses


def test_dropout_keeps_the_expected_gradient(ground: Ground) -> None:
    """What is kept counts so much more that the mean over draws is the gradient without dropout.

    While B is zero no draw reaches the forward pass, and B's gradient is linear in the factors:
    the two expectations are exactly the same.
    """
    num_draws = 300
    exact_P = fresh_gradients(ground, dropout=0.0, num_draws=1)[0]
    drawn_DP = fresh_gradients(ground, dropout=0.3, num_draws=num_draws)
    trained = exact_P != 0  # all of B; A's gradient is a product with B's zeros
    assert torch.count_nonzero(trained) == 2 * 2 * (96 + 32 + 128 + 32), "layers, rank, outputs"
    assert torch.count_nonzero(drawn_DP[:, ~trained]) == 0
    exact_P, drawn_DP = exact_P[trained], drawn_DP[:, trained]
    errors_P = drawn_DP.std(0) / math.sqrt(num_draws)
    assert (errors_P > 0).all()
    deviations_P = (drawn_DP.mean(0) - exact_P) / errors_P
    # Normal: of a thousand, 5 is passed once in two thousand seeds; the mean square is 1.
    assert deviations_P.abs().max() < 5
    assert deviations_P.square().mean().sqrt() < 1.2
    # Without the factor 1 / (1 - 0.3) the length along it would be 0.7; its own error is 0.003.
    length = torch.dot(drawn_DP.mean(0), exact_P) / torch.dot(exact_P, exact_P)
    assert float(length) == pytest.approx(1, abs=0.015)


def fresh_gradients(ground: Ground, *, dropout: float, num_draws: int) -> torch.Tensor:
    """Draws `[D, P]`, fp64, of a fresh adapter's gradient on one batch, on the middle seat."""
    pack = ground.pack(3)
    seat = pack.seats[1]
    recipe = tiny.recipe(dropout=dropout)
    seat.start(recipe, seed(recipe))
    batch = ground.batch(recipe, 0)
    draws = []
    for _ in range(num_draws):
        seat.accumulate(*batch)
        draws.append(pack.bank.gradients_KP[1].double().cpu())
        pack.bank.clear_gradients([1])
    return torch.stack(draws)


def test_frozen_layers_are_computed_once(
    ground: Ground, alone: list[Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES[list(CHANGES).index("upper layers")]
    engine = ground.pack().seats[0]
    computed = []
    through = propagation.Forward.through

    def counting(self: Any, hidden_ND: torch.Tensor, layers: range) -> torch.Tensor:
        computed.extend(layers)
        return through(self, hidden_ND, layers)

    monkeypatch.setattr(propagation.Forward, "through", counting)
    first = ground.alone(engine, recipe)
    assert computed.count(0) > 0
    computed.clear()
    again = ground.alone(engine, recipe)
    assert computed.count(0) == 0 < computed.count(1)
    assert_alike(first, alone[list(CHANGES).index("upper layers")])
    assert again.losses == first.losses


def test_adapter_opens_in_peft_and_says_the_same(ground: Ground, tmp_path: Path) -> None:
    pack = ground.pack(2)
    recipe = tiny.recipe(rank=3, alpha=12.0, learning_rate=3e-2)
    seat = pack.seats[1]
    pack.seats[0].start(tiny.recipe(rank=6), 0)
    seat.start(recipe, 3)
    for step in range(4):
        seat.accumulate(*ground.batch(recipe, step))
        seat.apply(3e-2)
    seat.save_adapter(tmp_path / "adapter")
    val_loss = seat.evaluate(ground.bench.validation)
    model = AutoModelForCausalLM.from_pretrained(ground.bench.base.folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        adapted = PeftModel.from_pretrained(model, str(tmp_path / "adapter")).eval()
    blocks = ground.bench.validation
    with torch.no_grad():
        logits = adapted(input_ids=torch.from_numpy(blocks.inputs)).logits
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), torch.from_numpy(blocks.targets).flatten()
    )
    assert val_loss == pytest.approx(float(loss), abs=1e-5)
    assert val_loss < pack.seats[0].evaluate(blocks) - 0.02


def test_adapter_names_no_path_of_this_machine(ground: Ground, tmp_path: Path) -> None:
    seat = ground.pack().seats[0]
    seat.start(RECIPES[0], 3)
    seat.save_adapter(tmp_path)
    for path in tmp_path.iterdir():
        assert str(ground.bench.base.folder).encode() not in path.read_bytes()


def test_recipes_and_bases_that_do_not_fit_are_known_before(ground: Ground) -> None:
    base = ground.bench.base
    assert fits(base, RECIPES[0])
    for changes in (
        {"train_also": "norms"},
        {"target_modules": "lm_head"},
        {"target_modules": "c_attn+nowhere"},
    ):
        recipe = tiny.recipe(**changes)
        assert not fits(base, recipe)
        with pytest.raises(BaseError, match="allowed: engine: auto or peft"):
            ground.pack().seats[0].start(recipe, 0)


def test_checkpoint_of_another_adapter_is_refused(ground: Ground) -> None:
    pack = ground.pack(2)
    pack.seats[0].start(RECIPES[0], 0)
    saved = pack.seats[0].state()
    for recipe, part in (
        (tiny.recipe(rank=5), "shape"),
        (tiny.recipe(target_modules="c_attn"), "another adapter"),
    ):
        pack.seats[1].start(recipe, 0)
        tiny.assert_raises_with(CheckpointError, lambda: pack.seats[1].load_state(saved), part)
        pack.seats[1].finish()
    del saved["generator/dropout"]
    pack.seats[1].start(RECIPES[0], 0)
    tiny.assert_raises_with(
        CheckpointError, lambda: pack.seats[1].load_state(saved), "another adapter"
    )


class Cramped:
    """Memory in which a pass of so many tokens just fits."""

    def __init__(self, most_tokens: int) -> None:
        self._most_tokens = most_tokens
        self._embed = propagation.Propagation._embed
        self.refused: list[int] = []

    def __call__(self, itself: propagation.Propagation, forward: Any) -> torch.Tensor:
        if forward.pack_pass.num_tokens > self._most_tokens:
            self.refused.append(forward.pack_pass.num_tokens)
            raise MemoryError
        return self._embed(itself, forward)


def test_passes_become_smaller_where_memory_runs_out(
    ground: Ground, alone: list[Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    cramped = Cramped(most_tokens=40)
    monkeypatch.setattr(
        propagation.Propagation, "_embed", lambda self, forward: cramped(self, forward)
    )
    pack = ground.pack(2)
    for seat in pack.seats:
        seat.start(RECIPES[0], seed(RECIPES[0]))
    for step in range(2):
        found = pack.accumulate({n: ground.batch(RECIPES[0], step) for n in range(2)})
        pack.apply(dict.fromkeys(found, learning_rate_at(step, STEPS, RECIPES[0])))
        for gradient in found.values():
            assert gradient.train_loss == pytest.approx(alone[0].losses[step], abs=2e-5)
    assert len(cramped.refused) == 2, "128 tokens, then 64, and never again"


def test_evaluations_take_fewer_seats_at_a_time_where_memory_runs_out(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = ground.pack(3)
    blocks = ground.batch(RECIPES[0], 7).blocks
    for number, seat in enumerate(pack.seats):
        seat.start(RECIPES[0], number)
    pack.accumulate({n: ground.batch(RECIPES[0], 0) for n in range(3)})
    pack.apply(dict.fromkeys(range(3), 5e-3))
    expected = pack.evaluate(range(3), blocks)
    cramped = Cramped(most_tokens=blocks.inputs.size)
    monkeypatch.setattr(
        propagation.Propagation, "_embed", lambda self, forward: cramped(self, forward)
    )
    assert pack.evaluate(range(3), blocks) == pytest.approx(expected, abs=1e-6)
    assert cramped.refused == [3 * blocks.inputs.size]
    cramped = Cramped(most_tokens=blocks.inputs.size - 1)
    with pytest.raises(SeatOutOfMemory, match="a pass of seat 0 does not fit"):
        pack.evaluate(range(3), blocks)
    with pytest.raises(MemoryError, match="does not fit"):
        pack.seats[1].evaluate(blocks)


def test_seat_whose_block_does_not_fit_is_named(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = ground.pack(2)
    recipes = [tiny.recipe(dropout=0.5), tiny.recipe(block_size=48, batch_size=1, dropout=0.5)]
    for number, recipe in enumerate(recipes):
        pack.seats[number].start(recipe, 3)
    before = [seat.state() for seat in pack.seats]
    cramped = Cramped(most_tokens=47)
    with monkeypatch.context() as patch:
        patch.setattr(
            propagation.Propagation, "_embed", lambda self, forward: cramped(self, forward)
        )
        batches = {0: ground.batch(recipes[0], 0)._replace(micro_batch=2)}
        batches[1] = ground.batch(recipes[1], 0)
        with pytest.raises(SeatOutOfMemory) as caught:
            pack.accumulate(batches)
    assert caught.value.seat == 1
    for seat, state in zip(pack.seats, before, strict=True):
        for name, tensor in seat.state().items():
            assert torch.equal(tensor, state[name])
    assert torch.count_nonzero(pack.bank.gradients_KP) == 0


recipes = st.builds(
    lambda **changes: tiny.recipe(**changes),
    block_size=st.sampled_from([7, 16, 32]),
    batch_size=st.integers(1, 4),
    accumulation=st.integers(1, 2),
    learning_rate=st.sampled_from([1e-3, 1e-2]),
    rank=st.integers(1, 6),
    clip_norm=st.sampled_from([None, 0.05, 1.0]),
    weight_decay=st.sampled_from([0.0, 0.2]),
    dropout=st.sampled_from([0.0, 0.0, 0.3]),
    target_modules=st.sampled_from(["c_attn", "c_attn+c_proj+c_fc", "h.1.mlp.c_fc"]),
    seed=st.integers(0, 3),
)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(recipes, min_size=2, max_size=5))
def test_any_pack_trains_each_trial_as_if_alone(
    ground: Ground, recipes: list[Hyperparameters]
) -> None:
    pack = ground.pack(len(recipes))
    found = ground.together(pack, recipes, steps=3)
    for number, recipe in enumerate(recipes):
        assert_alike(found[number], ground.alone(pack.seats[number], recipe, steps=3))


def test_blocks_without_targets_pass_by(ground: Ground) -> None:
    pack = ground.pack(2)
    for seat in pack.seats:
        seat.start(RECIPES[0], 0)
    full = ground.batch(RECIPES[0], 0)
    empty = Batch(Blocks(full.blocks.inputs, np.full_like(full.blocks.targets, -100)), 4)
    found = pack.accumulate({0: empty, 1: full})
    assert (found[0].train_loss, found[0].grad_norm) == (None, 0.0)
    assert found[1].train_loss is not None and found[1].grad_norm > 0


def test_precision_that_is_not_resolved_is_a_defect(ground: Ground) -> None:
    seat = ground.pack().seats[0]
    with pytest.raises(AssertionError):
        seat.start(tiny.recipe(precision="auto"), 0)
