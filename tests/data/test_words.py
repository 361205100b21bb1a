"""Words: the tokens of a text are those of its words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from sweeper.data.words import expand, index_words

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=5)


@settings(deadline=None, derandomize=True)
@given(texts)
def test_words_joined_are_the_text(texts: list[str]) -> None:
    index = index_words(texts)

    assert ["".join(index.words[word] for word in text) for text in index.texts] == texts
    assert len(set(index.words)) == len(index.words)


@pytest.mark.parametrize(
    "text",
    [
        "don't we'll  x_y __init__(self)",
        "½ cup², Ⅷ, 1²3 ٣٤ x½",
        "naïve e\u0301 日本語 🙂🙂 \u00a0\u00a0x",
        "  lead\n\n a\t\tb   trail  ",
        "\n",
        "",
    ],
)
def test_tokens_of_the_words_are_those_of_the_text(bpe: Tokenizer, text: str) -> None:
    index = index_words([text])
    pieces = [bpe.encode(word, add_special_tokens=False).ids for word in index.words]

    tokens, counts = expand(pieces, index.texts[0])

    assert tokens.tolist() == bpe.encode(text, add_special_tokens=False).ids
    assert counts.tolist() == [len(pieces[word]) for word in index.texts[0]]


def test_pieces_come_in_the_order_asked_for() -> None:
    tokens, counts = expand([[7, 8, 9], [], [4]], np.array([2, 0, 1, 0]))

    assert (tokens.tolist(), counts.tolist()) == ([4, 7, 8, 9, 7, 8, 9], [1, 3, 0, 3])
