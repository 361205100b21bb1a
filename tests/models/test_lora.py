"""Adapters: what a recipe asks of peft, and that the base is none the worse for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sweeper.errors import BaseError
from sweeper.models.base import Base, load_model, load_tokenizer
from sweeper.models.lora import adapter_config, attach_adapter, copy_tokenizer, detach_adapter
from tests import tiny

TOKENS = torch.arange(24).reshape(2, 12)


def test_adapter_is_configured_as_the_recipe_says() -> None:
    config = adapter_config(
        tiny.recipe(rank=3, alpha=5.0, dropout=0.25, target_modules="c_fc+c_attn")
    )
    assert (config.r, config.lora_alpha, config.lora_dropout) == (3, 5.0, 0.25)
    assert config.target_modules == {"c_attn", "c_fc"}
    assert config.modules_to_save is None
    assert (config.bias, config.task_type) == ("none", "CAUSAL_LM")


@pytest.mark.parametrize(
    ("also", "modules"),
    [
        ("embeddings", ["wte", "lm_head"]),
        ("norms", ["ln_1", "ln_2", "ln_f"]),
        ("embeddings+norms", ["wte", "lm_head", "ln_1", "ln_2", "ln_f"]),
    ],
)
def test_parts_trained_whole_are_gpt2s(also: str, modules: list[str]) -> None:
    assert adapter_config(tiny.recipe(train_also=also)).modules_to_save == modules


@pytest.mark.parametrize(
    ("modules", "count"),
    # Rank 2, width 32, 2 layers: 2 * rank * (in + out) for each module.
    [("c_attn", 2 * 2 * (32 + 96)), ("c_fc", 2 * 2 * (32 + 128)), ("attn.c_proj", 2 * 2 * 64)],
)
def test_only_the_adapter_is_trained(pristine: Base, modules: str, count: int) -> None:
    adapted = attach_adapter(load_model(pristine), tiny.recipe(target_modules=modules), 0)
    trained = {n: p.numel() for n, p in adapted.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in trained)
    assert sum(trained.values()) == count


def test_fresh_adapter_adds_exactly_nothing(pristine: Base) -> None:
    model = load_model(pristine).eval()
    with torch.no_grad():
        expected = model(input_ids=TOKENS).logits
        adapted = attach_adapter(model, tiny.recipe(train_also="embeddings+norms"), 0).eval()
        assert torch.equal(adapted(input_ids=TOKENS).logits, expected)


@pytest.mark.parametrize("also", ["", "norms", "embeddings", "embeddings+norms"])
def test_detached_base_is_the_base_whatever_was_trained(pristine: Base, also: str) -> None:
    model = load_model(pristine).eval()
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    adapted = attach_adapter(model, tiny.recipe(train_also=also), 0)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.add_(1.0)
    found = detach_adapter(adapted)
    assert found.state_dict().keys() == expected.keys()
    assert all(torch.equal(t, expected[name]) for name, t in found.state_dict().items())
    assert found.get_output_embeddings().weight is found.get_input_embeddings().weight
    assert not any(p.requires_grad for p in found.parameters())
    attach_adapter(found, tiny.recipe(), 0)  # without a warning of an adapter that is there


@pytest.mark.parametrize(
    ("modules", "unknown"),
    [
        ("nowhere", "nowhere"),
        ("c_attn+nowhere", "nowhere"),
        ("c_attn+ln_2", "ln_2"),
        ("c_attn+h.9.mlp.c_fc", "h.9.mlp.c_fc"),
        ("attn", "attn"),
    ],
)
def test_modules_that_are_not_there_are_refused(pristine: Base, modules: str, unknown: str) -> None:
    model = load_model(pristine)
    names = [name for name, _ in model.named_modules()]
    tiny.assert_raises_with(
        BaseError,
        lambda: attach_adapter(model, tiny.recipe(target_modules=modules), 0),
        "target_modules: ",
        f"has no {unknown} ",
        "c_attn, c_fc, c_proj, lm_head",
    )
    assert [name for name, _ in model.named_modules()] == names


def test_parts_that_another_make_does_not_have_are_refused(pristine: Base) -> None:
    model = load_model(pristine)
    model.transformer.word_embeddings = model.transformer.wte
    del model.transformer.wte
    with pytest.raises(BaseError, match=r"train_also: embeddings does not fit.*no wte"):
        attach_adapter(model, tiny.recipe(train_also="embeddings"), 0)


def test_copied_tokenizer_is_the_bases(pristine: Base, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((pristine.folder / "config.json").read_bytes())
    copy_tokenizer(pristine, tmp_path)
    copied = load_tokenizer(Base("copy", tmp_path)).tokenizer
    assert copied.to_str() == load_tokenizer(pristine).tokenizer.to_str()
    assert not list(tmp_path.glob("*.safetensors"))
