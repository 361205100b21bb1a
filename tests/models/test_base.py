"""Bases that are whole, and every way in which one is not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from sweeper.errors import BaseError
from sweeper.models.base import Base, find_base, is_builtin, load_model, load_tokenizer
from tests import tiny

WEIGHTS = "model.safetensors"


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; those set to None go."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty hub cache, and no network, as HF_HUB_OFFLINE=1 sets it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def test_directory_is_found_from_the_study_folder(base: Base, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    for source in ("../base", str(base.folder), "../base/"):
        found = find_base(source, tmp_path / "study")
        assert found.source == source
        assert found.fingerprint == base.fingerprint
    assert find_base("base", tmp_path).folder == tmp_path / "base"


def test_home_is_expanded(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_base("~/base", tmp_path / "elsewhere").folder == base.folder


@pytest.mark.parametrize("source", ["./nowhere", "/nowhere/at/all", "../nowhere", "nowhere/"])
def test_missing_directory(tmp_path: Path, source: str) -> None:
    with pytest.raises(BaseError, match=r"there is no directory .*allowed: a directory.*hub name"):
        find_base(source, tmp_path)


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def only_bin(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def config_text(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "config.json").write_text(text) and None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_config, r"no config\.json.*save_pretrained"),
        (only_bin, r"no \*\.safetensors file; \.bin weights are pickles.*Convert"),
        (config_text('{"model_type": "gpt2",'), r"config\.json is not JSON"),
        (config_text("\x00\x01"), r"config\.json is not JSON"),
        (config_text("[]"), r"config\.json names no model_type"),
        (config_text("{}"), r"config\.json names no model_type"),
    ],
)
def test_directory_that_is_no_base(
    base: Base, damage: Callable[[Path], None], message: str
) -> None:
    damage(base.folder)
    with pytest.raises(BaseError, match=message):
        find_base("./base", base.folder.parent)


def test_hub_name_offline_says_what_to_do(offline: None, tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="HF_HUB_OFFLINE is set") as caught:
        find_base("sweeper-tests/nowhere", tmp_path)
    assert "`hf download sweeper-tests/nowhere`" in str(caught.value)
    assert "builtin:tiny" in str(caught.value)


@pytest.mark.parametrize("name", ["two//slashes", "a/b/c", "no spaces", "-dash", "x" * 200])
def test_impossible_hub_name(offline: None, tmp_path: Path, name: str) -> None:
    with pytest.raises(BaseError, match="neither a directory here nor a possible hub name"):
        find_base(name, tmp_path)


def test_hub_name_in_the_cache_needs_no_network(offline: None, base: Base, tmp_path: Path) -> None:
    commit = "0" * 40
    repository = tmp_path / "hub" / "models--sweeper-tests--known"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    base.folder.rename(repository / "snapshots" / commit)
    found = find_base("sweeper-tests/known", tmp_path)
    assert found.folder == repository / "snapshots" / commit
    assert load_tokenizer(found).vocabulary == tiny.VOCABULARY


def test_is_builtin() -> None:
    assert is_builtin("builtin:tiny")
    assert not is_builtin("./builtin:tiny")


def test_shape_of_a_base(base: Base) -> None:
    model = tiny.new_model()
    assert base.num_parameters == sum(p.numel() for p in model.parameters())
    assert base.max_block_size == tiny.POSITIONS
    edit_json(base.folder / "config.json", n_positions=None, max_position_embeddings=77)
    assert Base("x", base.folder).max_block_size == 77
    edit_json(base.folder / "config.json", max_position_embeddings=None)
    assert Base("x", base.folder).max_block_size is None


def test_fingerprint_follows_content_alone(base: Base, pristine: Base) -> None:
    assert base.fingerprint == pristine.fingerprint
    for path in base.folder.iterdir():
        os.utime(path, (1, 1))
    (base.folder / "README.md").write_text("a card")
    assert Base("other", base.folder).fingerprint == pristine.fingerprint


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json"])
def test_fingerprint_changes_with_any_byte(base: Base, pristine: Base, name: str) -> None:
    content = bytearray((base.folder / name).read_bytes())
    content[-2] ^= 1
    (base.folder / name).write_bytes(content)
    assert base.fingerprint != pristine.fingerprint


def test_model_is_loaded_frozen_in_fp32_without_dropout(base: Base) -> None:
    assert json.loads((base.folder / "config.json").read_text())["resid_pdrop"] == 0.1
    model = load_model(base)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in model.parameters())
    dropouts = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    assert dropouts == {0.0}
    model.train()
    expected = AutoModelForCausalLM.from_pretrained(base.folder).eval()
    tokens = torch.arange(24).reshape(2, 12)
    with torch.no_grad():  # the fused activation is the same function
        torch.testing.assert_close(
            model(input_ids=tokens).logits, expected(input_ids=tokens).logits, atol=1e-5, rtol=0
        )


def test_half_precision_weights_are_loaded_in_fp32(base: Base) -> None:
    tiny.new_model().to(torch.bfloat16).save_pretrained(base.folder)
    assert {p.dtype for p in load_model(base).parameters()} == {torch.float32}


def drop_weight(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors["transformer.h.1.mlp.c_fc.weight"]
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def cut_weights(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def junk_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"junk" * 100)


def wider_config(folder: Path) -> None:
    edit_json(folder / "config.json", n_embd=64)


def unknown_type(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="nothing-known", architectures=None)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_weight, r"lacks weights .*transformer\.h\.1\.mlp\.c_fc\.weight"),
        (cut_weights, r"\./base cannot be loaded: .*header"),
        (junk_weights, r"\./base cannot be loaded: .*header"),
        (wider_config, r"\./base cannot be loaded"),
        (unknown_type, r"\./base cannot be loaded: .*nothing-known"),
    ],
)
def test_model_that_cannot_be_loaded(
    base: Base, damage: Callable[[Path], None], message: str
) -> None:
    damage(base.folder)
    with pytest.raises(BaseError, match=message):
        load_model(base)


def test_tokenizer_of_a_base(base: Base) -> None:
    tokenizer = load_tokenizer(base)
    assert (tokenizer.end_of_text_id, tokenizer.vocabulary) == (0, tiny.VOCABULARY)
    ids = tokenizer.tokenizer.encode("It sorts a list in place.").ids
    assert max(ids) < tiny.VOCABULARY
    assert tokenizer.tokenizer.decode(ids) == "It sorts a list in place."


@pytest.mark.parametrize(
    "text",
    [
        "It sorts a list in place.",
        "  two spaces,\ttabs\r\nand\n\n\nlines ",
        "Straße, naïve, 東京, \U0001f600\u200d and \x00",
        "before<|endoftext|>after, don't I'll 123 4.5e-6",
        "",
    ],
)
def test_tokenizer_that_is_read_without_transformers_is_theirs(base: Base, text: str) -> None:
    theirs = AutoTokenizer.from_pretrained(base.folder).backend_tokenizer
    assert load_tokenizer(base).tokenizer.encode(text).ids == theirs.encode(text).ids


def test_tokenizer_of_another_kind_is_read_by_transformers(base: Base) -> None:
    """Its file asks for another splitting of words."""
    path = base.folder / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    content["pre_tokenizer"]["add_prefix_space"] = True
    path.write_text(json.dumps(content), "utf-8")
    edit_json(base.folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    ids = load_tokenizer(base).tokenizer.encode("It").ids
    assert load_tokenizer(base).tokenizer.decode(ids) == " It"


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


def cut_tokenizer(folder: Path) -> None:
    content = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(content[: len(content) // 2])


def no_end_of_text(folder: Path) -> None:
    edit_json(folder / "tokenizer_config.json", eos_token=None)


def fewer_embeddings(folder: Path) -> None:
    edit_json(folder / "config.json", vocab_size=300)


def no_vocabulary_size(folder: Path) -> None:
    edit_json(folder / "config.json", vocab_size=None)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_tokenizer, r"has no tokenizer \(allowed: tokenizer\.json.*save_pretrained"),
        (cut_tokenizer, r"no tokenizer that can be loaded.*save_pretrained"),
        (no_end_of_text, r"no end-of-text token"),
        (fewer_embeddings, r"makes 319 ids, the weights know 300"),
        (no_vocabulary_size, r"the weights know 0"),
    ],
)
def test_tokenizer_that_does_not_fit(
    base: Base, damage: Callable[[Path], None], message: str
) -> None:
    damage(base.folder)
    with pytest.raises(BaseError, match=message):
        load_tokenizer(base)
