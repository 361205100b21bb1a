"""A base on disk: its shape, and whether anybody trained it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from sweeper.diagnosis.model import base_folder, read_model_facts
from sweeper.errors import BaseError
from sweeper.models.tiny import write_tiny_tokenizer

LAYERS, WIDTH, VOCABULARY = 2, 32, 2_000
CONFIG = {
    "model_type": "gpt2",
    "vocab_size": VOCABULARY,
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": 2,
    "initializer_range": 0.02,
}

Tensors = dict[str, NDArray[np.float32]]


def fresh(prefix: str = "transformer.") -> Tensors:
    """GPT-2's tensors as they are drawn before any training."""
    random = np.random.default_rng(5)

    def drawn(*shape: int, std: float = 0.02) -> NDArray[np.float32]:
        return random.normal(0, std, shape).astype(np.float32)

    tensors = {"wte.weight": drawn(VOCABULARY, WIDTH), "wpe.weight": drawn(64, WIDTH)}
    for layer in range(LAYERS):
        for name, shape in {
            "attn.c_attn": (WIDTH, 3 * WIDTH),
            "attn.c_proj": (WIDTH, WIDTH),
            "mlp.c_fc": (WIDTH, 4 * WIDTH),
            "mlp.c_proj": (4 * WIDTH, WIDTH),
        }.items():
            std = 0.02 / np.sqrt(2 * LAYERS) if "c_proj" in name else 0.02
            tensors[f"h.{layer}.{name}.weight"] = drawn(*shape, std=float(std))
            tensors[f"h.{layer}.{name}.bias"] = np.zeros(shape[1], np.float32)
        for norm in ("ln_1", "ln_2"):
            tensors |= norm_of(f"h.{layer}.{norm}")
    tensors |= norm_of("ln_f")
    return {prefix + name: tensor for name, tensor in tensors.items()}


def norm_of(name: str) -> Tensors:
    return {
        f"{name}.weight": np.ones(WIDTH, np.float32),
        f"{name}.bias": np.zeros(WIDTH, np.float32),
    }


def write(folder: Path, tensors: Tensors | None, config: Mapping[str, object] = CONFIG) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if tensors is not None:
        save_file(tensors, folder / "model.safetensors")
    return folder


def test_fresh_weights_look_untrained(tmp_path: Path) -> None:
    write(tmp_path / "base", fresh())
    write_tiny_tokenizer(["some words to learn from"], tmp_path / "base")

    facts = read_model_facts("base", tmp_path)

    assert facts.looks_untrained is True
    assert (facts.source, facts.vocab_size, facts.hidden_size) == ("base", VOCABULARY, WIDTH)
    assert facts.initializer_range == 0.02
    assert facts.tokenizer_size is not None
    assert 256 < facts.tokenizer_size < VOCABULARY
    assert facts.missing == ()
    assert "0 of 10 normalisation tensors have moved" in facts.weights_evidence
    assert "0.0200 where fresh weights have 0.02;" in facts.weights_evidence
    assert "where fresh ones have 0.0100" in facts.weights_evidence


@pytest.mark.parametrize("changed", ["transformer.ln_f.weight", "transformer.h.1.ln_2.bias"])
def test_one_norm_that_moved_shows_training(tmp_path: Path, changed: str) -> None:
    tensors = fresh()
    tensors[changed][3] += 1e-4
    write(tmp_path, tensors)

    facts = read_model_facts(".", tmp_path)

    assert facts.looks_untrained is False
    assert "1 of 10 normalisation tensors" in facts.weights_evidence


def test_a_wider_embedding_shows_training(tmp_path: Path) -> None:
    tensors = fresh()
    tensors["transformer.wte.weight"] *= 1.1
    assert read_model_facts(".", write(tmp_path, tensors)).looks_untrained is False


def test_the_hubs_names_without_a_prefix_are_the_same(tmp_path: Path) -> None:
    facts = read_model_facts(".", write(tmp_path, fresh(prefix="")))
    assert (facts.looks_untrained, facts.missing) == (True, ())


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    tensors = fresh()
    del tensors["transformer.h.1.attn.c_proj.weight"]

    facts = read_model_facts(".", write(tmp_path, tensors, {**CONFIG, "n_layer": 2}))
    assert facts.missing == ("transformer.h.1.attn.c_proj.weight",)

    deeper = read_model_facts(".", write(tmp_path, tensors, {**CONFIG, "n_layer": 3}))
    assert len(deeper.missing) == 1 + 12


def test_other_models_miss_what_most_of_their_layers_have(tmp_path: Path) -> None:
    config = {"model_type": "llama", "num_hidden_layers": 3, "hidden_size": 4, "vocab_size": 50}
    tensors = {"model.embed_tokens.weight": np.zeros((50, 4), np.float32)}
    for layer in range(3):
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = np.ones(4, np.float32)
        tensors[f"model.layers.{layer}.mlp.up_proj.weight"] = np.ones((4, 4), np.float32)
    del tensors["model.layers.2.mlp.up_proj.weight"]

    facts = read_model_facts(".", write(tmp_path, tensors, config))

    assert facts.missing == ("model.layers.2.mlp.up_proj.weight",)


def test_without_weights_the_shape_is_told_and_nothing_is_judged(tmp_path: Path) -> None:
    facts = read_model_facts(".", write(tmp_path, None))

    assert (facts.vocab_size, facts.looks_untrained) == (VOCABULARY, None)
    assert facts.tokenizer_size is None
    assert "could not be judged" in facts.weights_evidence


def test_the_vocabulary_may_be_told_by_the_tensors(tmp_path: Path) -> None:
    config = {key: value for key, value in CONFIG.items() if key != "vocab_size"}
    assert read_model_facts(".", write(tmp_path, fresh(), config)).vocab_size == VOCABULARY


@pytest.mark.parametrize(
    ("source", "untrained"), [("builtin:untrained", True), ("builtin:tiny", None)]
)
def test_embedded_bases_are_known_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, untrained: bool | None
) -> None:
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path))

    facts = read_model_facts(source, tmp_path)

    assert (facts.vocab_size, facts.looks_untrained) == (1024, untrained)
    with pytest.raises(BaseError, match="it is not on this machine; make it with"):
        base_folder(source, tmp_path)


def test_a_hub_name_that_is_not_in_the_cache_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BaseError, match=r"--model somebody/some-model: it is not on this machine"):
        read_model_facts("somebody/some-model", tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"--model here: no config\.json in it; save a model there"),
        (
            {"adapter_config.json": "{}"},
            r"no config\.json in it; this is an adapter, name the base",
        ),
        ({"config.json": "{"}, r"config\.json is not JSON"),
        ({"config.json": "[]"}, r"config\.json is no mapping"),
        ({"config.json": '{"model_type": "gpt2"}'}, r"has no vocab_size, and no embedding"),
    ],
)
def test_what_is_no_model_is_refused(
    tmp_path: Path, files: Mapping[str, str], message: str
) -> None:
    (tmp_path / "here").mkdir()
    for name, content in files.items():
        (tmp_path / "here" / name).write_text(content)
    with pytest.raises(BaseError, match=message):
        read_model_facts("here", tmp_path)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match=r"--model \./gone: it is not on this machine"):
        read_model_facts("./gone", tmp_path)
