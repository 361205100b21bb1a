"""Blocks: the stream's tokens, each predicted once; one validation set for all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.data import (
    IGNORED_TARGET,
    Document,
    TokenizedDocuments,
    TokenStream,
    evaluation_blocks,
    tokenize_documents,
    training_blocks,
)
from sweeper.errors import DataError

from .fakes import END, CharacterTokenizer, tokenize

texts = st.lists(st.text(alphabet="abcdefg", min_size=1, max_size=9), min_size=1, max_size=12)


@settings(deadline=None, derandomize=True)
@given(texts, st.integers(0, 100), st.integers(1, 6), st.integers(1, 9))
def test_blocks_concatenate_back_to_the_stream(
    texts: list[str], start: int, num_blocks: int, block_size: int
) -> None:
    stream = TokenStream(tokenize(*texts), seed=5)
    blocks = training_blocks(
        stream, start_tokens=start, num_blocks=num_blocks, block_size=block_size
    )
    tokens, _ = stream.read(start, num_blocks * block_size + 1)
    assert blocks.inputs.shape == blocks.targets.shape == (num_blocks, block_size)
    assert blocks.inputs.dtype == blocks.targets.dtype == np.int64
    assert blocks.inputs.ravel().tolist() == tokens[:-1].tolist()
    assert blocks.targets.ravel().tolist() == tokens[1:].tolist()
    assert blocks.num_targets == num_blocks * block_size


@settings(deadline=None, derandomize=True)
@given(texts, st.sampled_from([(1, 12), (2, 6), (3, 4), (4, 3), (12, 1)]), st.integers(1, 5))
def test_every_shape_of_batch_sees_the_same_tokens(
    texts: list[str], shape: tuple[int, int], num_steps: int
) -> None:
    stream = TokenStream(tokenize(*texts, segment_tokens=4), seed=5)
    num_blocks, block_size = shape
    batches = [
        training_blocks(
            stream, start_tokens=12 * step, num_blocks=num_blocks, block_size=block_size
        )
        for step in range(num_steps)
    ]
    whole = training_blocks(stream, start_tokens=0, num_blocks=1, block_size=12 * num_steps)
    for name in ("inputs", "targets"):
        seen = np.concatenate([getattr(batch, name).ravel() for batch in batches])
        assert seen.tolist() == getattr(whole, name).ravel().tolist()


def test_targets_that_do_not_count_are_ignored() -> None:
    documents = [Document("Q: a\nA: xy", "doc:0", ((8, 10),))]
    tokenized = tokenize_documents(
        documents, CharacterTokenizer(), segment_tokens=64, end_of_text_id=END, loss_on="answers"
    )
    stream = TokenStream(tokenized, seed=0)
    blocks = training_blocks(stream, start_tokens=0, num_blocks=1, block_size=11)
    assert blocks.targets.tolist() == [[IGNORED_TARGET] * 7 + [ord("x"), ord("y"), END, -100]]
    assert "".join(map(chr, blocks.inputs[0])) == "Q: a\nA: xy" + chr(END)
    assert blocks.num_targets == 3


@pytest.mark.parametrize(("num_blocks", "block_size"), [(0, 1), (1, 0)])
def test_empty_blocks_are_refused(num_blocks: int, block_size: int) -> None:
    stream = TokenStream(tokenize("abc"), seed=0)
    with pytest.raises(ValueError, match="are 1 or more"):
        training_blocks(stream, start_tokens=0, num_blocks=num_blocks, block_size=block_size)


def as_text(tokenized: TokenizedDocuments, block_size: int, max_tokens: int | None) -> list[str]:
    blocks = evaluation_blocks(tokenized, block_size=block_size, max_tokens=max_tokens)
    return ["".join(map(chr, row)).replace(chr(END), "|") for row in blocks.inputs]


def test_evaluation_takes_documents_in_order_and_joins_cut_ones() -> None:
    tokenized = tokenize("abcdefg", "hi", "jkl", segment_tokens=3)
    assert as_text(tokenized, 4, None) == ["abcd", "efg|", "hi|j"]
    blocks = evaluation_blocks(tokenized, block_size=4)
    targets = "".join(map(chr, blocks.targets.ravel())).replace(chr(END), "|")
    assert targets == "bcdefg|hi|jk"


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        (2, ["ef"]),
        (3, ["ef"]),
        (4, ["cd", "gh"]),
        (6, ["ab", "ef", "gh"]),
        (8, ["ab", "cd", "ef", "gh"]),
        (1_000, ["ab", "cd", "ef", "gh"]),
    ],
)
def test_fewer_evaluation_tokens_are_spread_evenly(max_tokens: int, expected: list[str]) -> None:
    assert as_text(tokenize("abcdefgh"), 2, max_tokens) == expected


def test_a_validation_set_below_one_block_is_refused() -> None:
    assert evaluation_blocks(tokenize("abc"), block_size=3).num_targets == 3
    with pytest.raises(DataError) as caught:
        evaluation_blocks(tokenize("abc"), block_size=4)
    assert str(caught.value) == (
        "the validation set has 4 tokens, and one block of 4 needs 5; give validation a larger "
        "share, or lower evaluate.block_size"
    )


def test_an_allowance_below_one_block_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        evaluation_blocks(tokenize("abcdefgh"), block_size=4, max_tokens=3)
    assert str(caught.value) == (
        "at most 3 tokens per evaluation do not hold one block of 4; allow 4 or more, or lower "
        "evaluate.block_size"
    )


def test_an_evaluation_without_targets_is_refused() -> None:
    documents = [Document("Q: abcdefgh\nA: x", "doc:0", ((15, 16),))]
    tokenized = tokenize_documents(
        documents, CharacterTokenizer(), segment_tokens=64, end_of_text_id=END, loss_on="answers"
    )
    with pytest.raises(DataError, match="none of the 4 validation tokens is part of an answer"):
        evaluation_blocks(tokenized, block_size=4, max_tokens=4)
