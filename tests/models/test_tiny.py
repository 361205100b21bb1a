"""The embedded base's shape and tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer

from sweeper.models.tiny import (
    END_OF_TEXT,
    HEADS,
    LAYERS,
    POSITIONS,
    VOCABULARY,
    WIDTH,
    new_tiny_model,
    write_tiny_tokenizer,
)


def test_seed_alone_decides_the_weights() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = new_tiny_model(0).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    same, other = new_tiny_model(0).state_dict(), new_tiny_model(1).state_dict()
    assert all(torch.equal(tensor, same[name]) for name, tensor in one.items())
    assert not torch.equal(one["transformer.wte.weight"], other["transformer.wte.weight"])


def test_shape_is_the_one_that_is_named() -> None:
    config = new_tiny_model(0).config
    shape = (config.vocab_size, config.n_positions, config.n_embd, config.n_layer, config.n_head)
    assert shape == (VOCABULARY, POSITIONS, WIDTH, LAYERS, HEADS)
    assert config.eos_token_id == 0


def test_tokenizer_takes_any_text_and_gives_it_back(tmp_path: Path) -> None:
    write_tiny_tokenizer(["some text", "some more text"], tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert 257 <= tokenizer.get_vocab_size() <= VOCABULARY
    for text in ("some text", "Köln, 日本語 🙂", "\ttabs\r\n\x00 and  spaces "):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert tokenizer.token_to_id(END_OF_TEXT) == 0
    assert len(tokenizer.encode("some").ids) == 1
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["eos_token"] == END_OF_TEXT


def test_same_texts_give_the_same_tokenizer(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_tiny_tokenizer(["a text that repeats, a text that repeats"], tmp_path / name)
    one, other = ((tmp_path / n / "tokenizer.json").read_bytes() for n in ("one", "other"))
    assert one == other
