"""A corpus as one line of tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.diagnosis.text import hash_windows, tokenize_text
from sweeper.errors import DataError
from sweeper.models.bare_tokenizer import BareTokenizer, read_bare_tokenizer
from sweeper.models.tiny import write_tiny_tokenizer
from tests.diagnosis.corpora import documents, text_of

TEXTS = ("It wraps a text.", "", "It's 2 lines:\n\n  ½ Grüße!", "a<|endoftext|>b")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> BareTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tiny_tokenizer(TEXTS[:3], folder)
    return read_bare_tokenizer(folder, "here")


@pytest.mark.parametrize("texts", [TEXTS[:3], TEXTS])
def test_tokens_are_those_of_the_tokenizer(
    tokenizer: BareTokenizer, texts: tuple[str, ...]
) -> None:
    text = tokenize_text(documents(texts), tokenizer)

    for number, one in enumerate(texts):
        start, size = int(text.starts[number]), int(text.sizes[number])
        expected = tokenizer.tokenizer.encode(one, add_special_tokens=False).ids
        assert text.tokens[start : start + size].tolist() == expected
        assert text.tokens[start + size] == text.end_id
    assert text.vocab_size == tokenizer.size
    assert text.tokens.size == text.sizes.sum() + len(texts)


def test_without_a_tokenizer_they_are_words_and_punctuation() -> None:
    text = text_of("a dog, a cat", "a dog")

    assert text.words == ("a", " dog", ",", " a", " cat")
    assert text.tokens.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 5]
    assert text.without_ends.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert (text.vocab_size, text.end_id) == (5, 5)


def test_every_position_belongs_to_a_document(tokenizer: BareTokenizer) -> None:
    for text in (
        text_of("one two", "three"),
        tokenize_text(documents(["one two", "x"]), tokenizer),
    ):
        owners = text.documents_at(np.arange(text.tokens.size)).tolist()
        expected = [n for n, size in enumerate(text.sizes.tolist()) for _ in range(size + 1)]
        assert owners == expected
        assert [text.document_at(position) for position in range(text.tokens.size)] == expected


def test_an_excerpt_is_one_short_line_of_the_text(tokenizer: BareTokenizer) -> None:
    text = tokenize_text(documents(["a\n\nwrapped   text " * 30]), tokenizer)
    assert text.excerpt(0, 10_000).startswith("a wrapped text a")
    assert len(text.excerpt(0, 10_000)) <= 100
    assert text_of("a\n\nwrapped   text").excerpt(0, 1) == "a"


def test_too_few_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the corpus has 2 tokens, too few"):
        text_of("two words"[:9])


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=30), st.integers(1, 33))
def test_equal_windows_and_only_these_have_equal_hashes(tokens: list[int], width: int) -> None:
    hashes = hash_windows(np.array(tokens, dtype=np.int32), width).tolist()

    windows = [tuple(tokens[n : n + width]) for n in range(max(len(tokens) - width + 1, 0))]
    assert len(hashes) == len(windows)
    assert len(set(zip(hashes, windows, strict=True))) == len(set(hashes)) == len(set(windows))
