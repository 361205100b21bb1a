"""A base's tokenizer without transformers makes the same tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from sweeper.errors import BaseError
from sweeper.models.bare_tokenizer import has_tokenizer, read_bare_tokenizer
from sweeper.models.base import Base, load_tokenizer
from sweeper.models.tiny import write_tiny_tokenizer

TEXT = "It wraps a text, line by line; it's 2 lines.\n\n  Grüße!"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_tokenizer([TEXT, "and some other words"], tmp_path)
    return tmp_path


def test_it_agrees_with_transformers(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "vocab_size": 1024}))
    theirs = load_tokenizer(Base("./here", folder))

    ours = read_bare_tokenizer(folder, "./here")

    expected = theirs.tokenizer.encode(TEXT, add_special_tokens=False).ids
    assert ours.tokenizer.encode(TEXT, add_special_tokens=False).ids == expected
    assert ours.end_of_text_id == theirs.end_of_text_id == 0
    assert ours.size == ours.tokenizer.get_vocab_size() > 256
    assert ours.splits_into_words
    assert ours.whole_texts == ("<|endoftext|>",)


def test_the_older_pair_of_files_is_the_same_tokenizer(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    whole = read_bare_tokenizer(folder, "x")
    whole.tokenizer.model.save(str(old))

    pair = read_bare_tokenizer(old, "x")

    encoded = (kind.tokenizer.encode(TEXT).ids for kind in (whole, pair))
    assert next(encoded) == next(encoded)
    assert (pair.size, pair.splits_into_words) == (whole.size, True)
    assert pair.end_of_text_id == 0


def test_cutting_and_padding_are_switched_off(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=500)
    tokenizer.save(str(folder / "tokenizer.json"))

    assert 3 < len(read_bare_tokenizer(folder, "x").tokenizer.encode(TEXT).ids) < 500


def test_a_normalizer_keeps_it_from_going_word_by_word(folder: Path) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text()) | {"normalizer": {"type": "Lowercase"}}
    path.write_text(json.dumps(content))

    assert not read_bare_tokenizer(folder, "x").splits_into_words


def test_a_folder_without_one_says_how_to_save_it(tmp_path: Path) -> None:
    assert not has_tokenizer(tmp_path)
    with pytest.raises(BaseError, match=r"model: ./b has no tokenizer\.json.*save_pretrained"):
        read_bare_tokenizer(tmp_path, "./b")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"model": {"type": "BPE"}}', '{"model": {"type": "BPE", "vocab": {}}}'],
)
def test_a_damaged_one_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(BaseError, match=r"model: ./b has a tokenizer that cannot be read"):
        read_bare_tokenizer(tmp_path, "./b")
