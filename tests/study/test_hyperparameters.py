"""Hyperparameters: their spellings, changes, and which of them are the same experiment."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweeper.study import (
    INTEGER_HYPERPARAMETERS,
    REAL_HYPERPARAMETERS,
    WORD_HYPERPARAMETERS,
    Hyperparameters,
    experiment_key,
    warmup_steps,
    with_changes,
)


def test_kinds_cover_every_hyperparameter_once() -> None:
    kinds = [*INTEGER_HYPERPARAMETERS, *REAL_HYPERPARAMETERS, *WORD_HYPERPARAMETERS, "warmup"]
    assert sorted(kinds) == sorted(Hyperparameters.model_fields)


def test_products() -> None:
    hyperparameters = Hyperparameters(block_size=256, batch_size=8, accumulation=4)
    assert hyperparameters.effective_batch == 32
    assert hyperparameters.tokens_per_step == 32 * 256


@pytest.mark.parametrize(
    ("tokens", "num_blocks", "num_steps"),
    [
        (1, 1, 1),
        (256, 1, 1),
        (512 * 32, 64, 2),
        (512 * 32 + 255, 64, 2),
        (513 * 32, 64, 2),
        (65 * 256, 65, 3),
        (0, 1, 1),
    ],
)
def test_a_budget_is_whole_blocks_and_the_last_step_may_be_short(
    tokens: int, num_blocks: int, num_steps: int
) -> None:
    hyperparameters = Hyperparameters(block_size=256, batch_size=8, accumulation=4)
    assert hyperparameters.blocks_within(tokens) == num_blocks
    assert hyperparameters.steps_within(tokens) == num_steps


@pytest.mark.parametrize(
    ("written", "warmup"),
    [("10%", 0.1), (0.1, 0.1), (500, 500), (1, 1), (0, 0), (0.0, 0), ("0%", 0), (-0.0, 0)],
)
def test_warmup(written: object, warmup: float) -> None:
    got = Hyperparameters.model_validate({"warmup": written}).warmup
    assert got == warmup
    assert type(got) is type(warmup)


@pytest.mark.parametrize("written", ["100%", 1.0, 1.5, -1, "10", True, None, float("nan"), "x"])
def test_warmup_refused(written: object) -> None:
    with pytest.raises(ValidationError, match=r"such as 10% or 0\.1, or whole steps"):
        Hyperparameters.model_validate({"warmup": written})


@pytest.mark.parametrize(
    ("warmup", "num_steps", "steps"),
    [(0, 100, 0), (30, 100, 30), (300, 100, 100), (0.1, 100, 10), (0.1, 3, 0), (0.5, 3, 2)],
)
def test_warmup_steps(warmup: float, num_steps: int, steps: int) -> None:
    assert warmup_steps(warmup, num_steps) == steps


@pytest.mark.parametrize(
    ("written", "modules"),
    [
        ("c_fc+c_attn", "c_attn+c_fc"),
        (["c_fc", "c_attn", "c_fc"], "c_attn+c_fc"),
        ("c_proj", "c_proj"),
        (["v_proj", "c_proj", "q_proj"], "c_proj+q_proj+v_proj"),
        ("h.0.attn.c_attn", "h.0.attn.c_attn"),
        ("c_fc + c_proj", "c_proj+c_fc"),
    ],
)
def test_target_modules(written: object, modules: str) -> None:
    assert Hyperparameters.model_validate({"target_modules": written}).target_modules == modules


@pytest.mark.parametrize("written", ["", [], "c_fc+", "c fc", [1], [["c_fc"]], None, 5, "c-fc"])
def test_target_modules_refused(written: object) -> None:
    with pytest.raises(ValidationError, match=r"several as a list or joined by \+"):
        Hyperparameters.model_validate({"target_modules": written})


@pytest.mark.parametrize(
    ("written", "parts"),
    [("", ""), ([], ""), ("norms+embeddings", "embeddings+norms"), (["norms"], "norms")],
)
def test_train_also(written: object, parts: str) -> None:
    assert Hyperparameters.model_validate({"train_also": written}).train_also == parts


def test_train_also_is_closed() -> None:
    with pytest.raises(ValidationError, match="did you mean norms"):
        Hyperparameters.model_validate({"train_also": ["norm"]})


def test_changes_are_validated_and_leave_the_rest() -> None:
    start = Hyperparameters(rank=4)
    changed = with_changes(start, {"warmup": "10%", "seed": 3})
    assert (changed.rank, changed.warmup, changed.seed) == (4, 0.1, 3)
    assert start == Hyperparameters(rank=4)
    with pytest.raises(ValidationError, match=r"unknown key, did you mean rank\?"):
        with_changes(start, {"ranks": 2})


def test_hyperparameters_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Hyperparameters().rank = 4  # type: ignore[misc]


def test_accumulated_and_whole_batch_are_one_experiment() -> None:
    assert experiment_key(Hyperparameters(batch_size=8, accumulation=4)) == experiment_key(
        Hyperparameters(batch_size=32, accumulation=1)
    )


def test_dropout_tells_batches_apart() -> None:
    assert experiment_key(
        Hyperparameters(batch_size=8, accumulation=4, dropout=0.1)
    ) != experiment_key(Hyperparameters(batch_size=32, dropout=0.1))


@pytest.mark.parametrize(
    "change",
    [
        {"block_size": 64},
        {"batch_size": 16},
        {"accumulation": 2},
        {"learning_rate": 2e-3},
        {"schedule": "cosine"},
        {"warmup": 1},
        {"clip_norm": None},
        {"seed": 0},
        {"rank": 4},
        {"train_also": "norms"},
        {"precision": "fp32"},
        {"target_modules": "c_fc"},
    ],
)
def test_any_other_change_is_another_experiment(change: dict[str, object]) -> None:
    start = Hyperparameters()
    assert experiment_key(with_changes(start, change)) != experiment_key(start)


@given(batch=st.integers(1, 512), accumulation=st.integers(1, 64))
@settings(deadline=None, derandomize=True)
def test_experiments_depend_on_the_product_alone(batch: int, accumulation: int) -> None:
    split = Hyperparameters(batch_size=batch, accumulation=accumulation)
    whole = Hyperparameters(batch_size=batch * accumulation)
    assert experiment_key(split) == experiment_key(whole)
