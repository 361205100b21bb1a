"""Saved adapters, as peft alone reads them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from sweeper.training.manifest import hash_files
from tests import tiny
from tests.training.places import Place, started, weights, with_changes


def saved_loss(place: Place, adapter: Path) -> tuple[float, GPT2LMHeadModel]:
    """The validation loss of an adapter on transformers' own model, loaded by peft alone."""
    base = AutoModelForCausalLM.from_pretrained(place.bench.base.folder)
    with warnings.catch_warnings():
        # peft asks transformers 5 by an old name, and wants trained embeddings tied by itself
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`", UserWarning)
        model = PeftModel.from_pretrained(base, str(adapter)).eval()
    blocks = place.bench.validation
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(blocks.inputs)).logits
    targets = torch.from_numpy(blocks.targets).flatten()
    return float(cross_entropy(logits.flatten(0, 1), targets)), model


@with_changes(
    {},
    {"target_modules": "c_fc", "rank": 3},
    {"train_also": "norms"},
    {"train_also": "embeddings"},
    {"train_also": "embeddings+norms"},
)
def test_saved_adapter_is_a_peft_adapter_of_the_same_loss(
    place: Place, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with started(place, tiny.recipe(**changes)) as engine:
        untrained = place.evaluate()
        place.train(range(6))
        expected = place.evaluate()
        engine.save_adapter(tmp_path / "adapter")
    loss, _ = saved_loss(place, tmp_path / "adapter")
    assert loss == pytest.approx(expected, abs=1e-5)
    assert abs(untrained - expected) > 1e-3


@with_changes({"train_also": "embeddings"})
def test_trained_embeddings_and_head_stay_one_weight(
    place: Place, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with started(place, tiny.recipe(**changes)) as engine:
        trained = [name for name in weights(engine) if "modules_to_save" in name]
        assert len(trained) == 1
        place.train(range(4))
        engine.save_adapter(tmp_path / "adapter")
    _, model = saved_loss(place, tmp_path / "adapter")
    embeddings = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    base = AutoModelForCausalLM.from_pretrained(place.bench.base.folder)
    assert torch.equal(embeddings, head)
    assert not torch.equal(embeddings, base.get_input_embeddings().weight)


def test_saved_adapter_names_no_path_and_is_the_same_each_time(
    place: Place, tmp_path: Path
) -> None:
    with started(place, place.kind.widest) as engine:
        place.train(range(2))
        engine.save_adapter(tmp_path / "one")
        engine.save_adapter(tmp_path / "other")
    assert hash_files(tmp_path / "one") == hash_files(tmp_path / "other")
    text = (tmp_path / "one" / "adapter_config.json").read_text()
    config = json.loads(text)
    assert config["base_model_name_or_path"] == "./base"
    assert config["target_modules"] == ["c_attn", "c_fc"]
    assert (config["r"], config["lora_alpha"]) == (3, 4.0)
    machine = [place.bench.base.folder.as_posix(), tmp_path.as_posix()]
    for path in (tmp_path / "one").iterdir():
        assert not any(name.encode() in path.read_bytes() for name in machine)
