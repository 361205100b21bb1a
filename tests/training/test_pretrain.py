"""Embedded bases: made once, kept by content, never half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from sweeper.errors import BaseError
from sweeper.models.base import load_model, load_tokenizer
from sweeper.models.tiny import END_OF_TEXT, LAYERS, VOCABULARY, WIDTH, new_tiny_model
from sweeper.training.bases import find_cached_base, prepare_base

UNTRAINED = "builtin:untrained"


def silent(*_: object) -> None:
    """A report that nobody reads."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the untrained base."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWEEPER_CACHE", str(folder))
        prepare_base(UNTRAINED, folder, silent)
    return folder


@pytest.fixture(autouse=True)
def in_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPER_CACHE", str(cache))


def traces(folder: Path) -> dict[str, tuple[int, int]]:
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_base_is_made_once(cache: Path, tmp_path: Path) -> None:
    one = prepare_base(UNTRAINED, tmp_path, silent)
    before = traces(one.folder)
    assert prepare_base(UNTRAINED, tmp_path / "elsewhere", silent) == one
    assert traces(one.folder) == before
    assert one.folder.parent == cache / "bases"
    assert find_cached_base(UNTRAINED, tmp_path) == one


def test_untrained_base_is_a_whole_model_with_its_tokenizer(tmp_path: Path) -> None:
    base = prepare_base(UNTRAINED, tmp_path, silent)
    assert (base.source, base.max_block_size) == (UNTRAINED, 256)
    model = load_model(base)
    expected = new_tiny_model(0).state_dict()
    assert all(torch.equal(t, expected[name]) for name, t in model.state_dict().items())
    assert sum(p.numel() for p in model.parameters()) == base.num_parameters
    tokenizer = load_tokenizer(base)
    assert tokenizer.vocabulary == VOCABULARY
    assert tokenizer.tokenizer.token_to_id(END_OF_TEXT) == tokenizer.end_of_text_id == 0
    text = "def wrap(text):\n    return 'Köln 🙂'"
    assert tokenizer.tokenizer.decode(tokenizer.tokenizer.encode(text).ids) == text
    config = AutoModelForCausalLM.from_pretrained(base.folder).config
    assert (config.n_layer, config.n_embd) == (LAYERS, WIDTH)


def test_unfinished_base_of_a_crash_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = prepare_base(UNTRAINED, tmp_path, silent)
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path))
    unfinished = tmp_path / "bases" / f"{expected.folder.name}.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "model.safetensors").write_bytes(b"half")
    (unfinished / "leftover").write_bytes(b"")
    assert find_cached_base(UNTRAINED, tmp_path) is None
    base = prepare_base(UNTRAINED, tmp_path, silent)
    assert base.fingerprint == expected.fingerprint
    assert not unfinished.exists()
    assert not (base.folder / "leftover").exists()


def test_unknown_builtin_names_those_there_are(tmp_path: Path) -> None:
    for find in (find_cached_base, lambda name, folder: prepare_base(name, folder, silent)):
        with pytest.raises(BaseError, match=r"builtin:huge.*builtin:tiny, builtin:untrained"):
            find("builtin:huge", tmp_path)


def test_cache_that_cannot_be_written_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "file"))
    with pytest.raises(BaseError, match=r"cannot be written.*set SWEEPER_CACHE"):
        prepare_base(UNTRAINED, tmp_path, silent)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_cache_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o500)
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BaseError, match="set SWEEPER_CACHE"):
        prepare_base(UNTRAINED, tmp_path, silent)


def test_pretraining_starts_from_the_untrained_base_and_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untrained = prepare_base(UNTRAINED, tmp_path, silent)
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path))
    monkeypatch.setattr("sweeper.models.embedded.STEPS", 2)
    said: list[tuple[str, int, int]] = []
    base = prepare_base("builtin:tiny", tmp_path, lambda *words: said.append(words))
    assert [(done, total) for _, done, total in said] == [(1, 2), (2, 2)]
    assert {"builtin:tiny" in what for what, _, _ in said} == {True}
    before, after = load_model(untrained).state_dict(), load_model(base).state_dict()
    assert before.keys() == after.keys()
    assert not torch.equal(before["transformer.wte.weight"], after["transformer.wte.weight"])
    prepare_base("builtin:tiny", tmp_path, lambda *words: said.append(words))
    assert len(said) == 2
