"""Tokens and the mask of what is learned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from sweeper.data import Document, tokenize_documents
from sweeper.data.tokens import cut_text
from sweeper.errors import DataError

from .conftest import TEXTS
from .fakes import END, CharacterTokenizer, tokenize


def test_tokens_lie_behind_each_other_in_segments() -> None:
    tokenized = tokenize("abcde", "", "fg", segment_tokens=2)
    assert "".join(map(chr, tokenized.tokens)) == "abcdefg"
    assert tokenized.tokens.dtype == np.int32
    assert tokenized.segment_starts.tolist() == [0, 2, 4, 5]
    assert tokenized.segment_ends.tolist() == [2, 4, 5, 7]
    assert tokenized.segment_documents.tolist() == [0, 0, 0, 2]
    assert tokenized.segment_offsets.tolist() == [0, 2, 4, 0]
    assert tokenized.segment_end_counts.tolist() == [False, False, True, True]
    assert tokenized.loss_mask.all()
    assert tokenized.names == ("doc:0", "doc:1", "doc:2")
    assert tokenized.num_segments == 4


def test_answers_alone_count_where_answers_are_asked_for() -> None:
    documents = [
        Document("Q: a\nA: xy", "doc:0", ((8, 10),)),
        Document("plain", "doc:1"),
        Document("u: a\nb: xy\nu: c\nb: z", "doc:2", ((8, 10), (19, 20))),
    ]
    tokenized = tokenize_documents(
        documents,
        CharacterTokenizer(),
        segment_tokens=100,
        end_of_text_id=END,
        loss_on="answers",
    )
    counted = tokenized.tokens[tokenized.loss_mask]
    assert "".join(map(chr, counted)) == "xyxyz"
    assert tokenized.segment_documents.tolist() == [0, 2]
    assert tokenized.segment_end_counts.tolist() == [True, True]
    assert tokenized.num_unanswered_tokens == 5


def test_segments_without_an_answer_are_left_out() -> None:
    document = Document("Q: long question\nA: xyz", "doc:0", ((20, 23),))
    tokenized = tokenize_documents(
        [document], CharacterTokenizer(), segment_tokens=5, end_of_text_id=END, loss_on="answers"
    )
    assert "".join(map(chr, tokenized.tokens)) == "xyz"
    assert tokenized.segment_offsets.tolist() == [20]
    assert tokenized.num_unanswered_tokens == 20


@pytest.mark.parametrize("answer", ["It wraps.", "  two\n\n\n  gaps ", "日本語 🙂", "x"])
def test_a_byte_level_tokenizer_masks_the_answer_to_the_byte(bpe: Tokenizer, answer: str) -> None:
    text = f"Q: Wrap?\nA: {answer}\nQ: more"
    start = text.index(answer, 9)
    document = Document(text, "doc:0", ((start, start + len(answer)),))
    tokenized = tokenize_documents(
        [document, Document("rest", "doc:1")],
        bpe,
        segment_tokens=1_000,
        end_of_text_id=END,
        loss_on="answers",
    )
    counted = bpe.decode(tokenized.tokens[tokenized.loss_mask].tolist())
    before = bpe.decode(tokenized.tokens[: int(tokenized.loss_mask.argmax())].tolist())
    # BPE joins the space in front of an answer to its first word.
    spaces = counted.index(answer)
    assert not counted[:spaces].strip()
    assert counted[spaces:] == answer
    assert before + counted[:spaces] == text[:start]


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet="ab \n'9é", max_size=120), st.integers(3, 40))
def test_pieces_of_a_text_join_to_the_text(text: str, piece_characters: int) -> None:
    pieces = cut_text(text, piece_characters)
    assert "".join(pieces) == text
    assert all(len(piece) <= piece_characters for piece in pieces)


def test_a_long_document_has_the_tokens_of_the_whole(bpe: Tokenizer) -> None:
    text = " ".join(TEXTS) + "\n\n"
    text = text * (200_000 // len(text))
    tokenized = tokenize_documents(
        [Document(text, "doc:0")], bpe, segment_tokens=512, end_of_text_id=END
    )
    assert tokenized.tokens.tolist() == bpe.encode(text, add_special_tokens=False).ids
    assert np.diff(tokenized.segment_offsets).tolist() == [512] * (tokenized.num_segments - 1)


def test_a_long_document_is_not_cut_within_a_run_of_spaces(bpe: Tokenizer) -> None:
    text = "wrap      " * 10_000
    tokenized = tokenize_documents(
        [Document(text, "doc:0")], bpe, segment_tokens=512, end_of_text_id=END
    )
    assert tokenized.tokens.tolist() == bpe.encode(text, add_special_tokens=False).ids


def test_answers_in_a_long_document_are_found(bpe: Tokenizer) -> None:
    text = "lorem ipsum " * 20_000 + "Q: x\nA: yes, here." + " and so on" * 10_000
    start = text.index("yes, here.")
    document = Document(text, "doc:0", ((start, start + len("yes, here.")),))
    tokenized = tokenize_documents(
        [document], bpe, segment_tokens=512, end_of_text_id=END, loss_on="answers"
    )
    assert bpe.decode(tokenized.tokens[tokenized.loss_mask].tolist()).lstrip() == "yes, here."


def test_many_documents_keep_their_tokens_across_batches(bpe: Tokenizer) -> None:
    documents = [Document(TEXTS[i % 4] * 500 + str(i), f"doc:{i}") for i in range(60)]
    tokenized = tokenize_documents(documents, bpe, segment_tokens=10**6, end_of_text_id=END)
    assert tokenized.segment_documents.tolist() == list(range(60))
    last = slice(tokenized.segment_starts[-1], tokenized.segment_ends[-1])
    assert bpe.decode(tokenized.tokens[last].tolist()) == documents[-1].text


@pytest.mark.parametrize("segment_tokens", [0, -1])
def test_an_empty_segment_is_refused(segment_tokens: int) -> None:
    with pytest.raises(ValueError, match="at least 1 token"):
        tokenize("a", segment_tokens=segment_tokens)


def test_no_answers_where_answers_are_asked_for_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        tokenize_documents(
            [Document("a", "doc:0")],
            CharacterTokenizer(),
            segment_tokens=1,
            end_of_text_id=END,
            loss_on="answers",
        )
    assert str(caught.value) == (
        "loss_on: answers, but none of the 1 documents has an answer; use Q:/A: Markdown or JSONL "
        "with answers, or set loss_on: all"
    )


def test_no_tokens_at_all_are_refused() -> None:
    with pytest.raises(DataError, match="the tokenizer makes no token of the 2 documents"):
        tokenize("", "")


@pytest.mark.parametrize("setting", ["truncation", "padding"])
def test_a_tokenizer_that_truncates_or_pads_is_refused(bpe: Tokenizer, setting: str) -> None:
    tokenizer = Tokenizer.from_str(bpe.to_str())
    if setting == "truncation":
        tokenizer.enable_truncation(8)
    else:
        tokenizer.enable_padding()
    with pytest.raises(DataError, match=f"the tokenizer has {setting} switched on"):
        tokenize_documents(
            [Document("a", "doc:0")], tokenizer, segment_tokens=8, end_of_text_id=END
        )
