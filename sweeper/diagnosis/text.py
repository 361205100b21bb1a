"""A corpus as one line of tokens, each document followed by the token that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.data import Document
from sweeper.data.words import WordIndex, expand, index_words
from sweeper.errors import DataError
from sweeper.models.bare_tokenizer import BareTokenizer

WORDS = "words and punctuation (no tokenizer was given)"
_EXCERPT_TOKENS = 24
_EXCERPT_CHARACTERS = 100
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_BASE = 0x9E3779B97F4A7C15


@dataclass(frozen=True, eq=False)
class TokenText:
    """Documents behind each other.

    Shapes: N positions, D documents.

    Attributes:
        tokens: int32 `[N]`; behind each document stands `end_id`.
        starts: int64 `[D]`, the position of each document's first token.
        sizes: int64 `[D]`, its tokens, without the end.
        names: Of the documents.
        vocab_size: Ids lie in `[0, vocab_size)`, but for the end's.
        words: What each id stands for, if these are words; empty if they are a tokenizer's.
        tokenizer: That tokenizer.
    """

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    names: tuple[str, ...]
    vocab_size: int
    words: tuple[str, ...] = ()
    tokenizer: BareTokenizer | None = None

    @property
    def end_id(self) -> int:
        """The id behind each document; no other token has it."""
        return self.vocab_size

    @property
    def without_ends(self) -> NDArray[np.int32]:
        """The documents' own tokens."""
        own: NDArray[np.int32] = self.tokens[self.tokens != self.end_id]
        return own

    def documents_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The document of each position; a document's end belongs to it."""
        return np.searchsorted(self.starts, positions, side="right") - 1

    def document_at(self, position: int) -> int:
        """The document of one position."""
        return int(np.searchsorted(self.starts, position, side="right")) - 1

    def excerpt(self, start: int, num_tokens: int) -> str:
        """The beginning of a passage on one line, for a reader to recognise it by."""
        ids = self.tokens[start : start + min(num_tokens, _EXCERPT_TOKENS)].tolist()
        if self.tokenizer is None:
            text = "".join(self.words[number] for number in ids if number != self.end_id)
        else:
            text = self.tokenizer.tokenizer.decode([n for n in ids if n != self.end_id])
        return " ".join(text.split())[:_EXCERPT_CHARACTERS]


def tokenize_text(documents: Sequence[Document], tokenizer: BareTokenizer | None) -> TokenText:
    """Tokens of documents in their order; without a tokenizer, of words and punctuation.

    Raises:
        DataError: There are too few tokens to say anything about.
    """
    texts = [document.text for document in documents]
    names = tuple(document.name for document in documents)
    words: tuple[str, ...] = ()
    if tokenizer is None or _is_word_by_word(tokenizer, texts):
        index = index_words(texts)
        words = () if tokenizer else index.words
        tokens, sizes = _of_words(index, tokenizer)
    else:
        tokens, sizes = _of_encodings(tokenizer, texts)
    if tokens.size < 3:
        raise DataError(
            f"--data: the corpus has {tokens.size} tokens, too few to say anything about; name "
            "the text that the run was trained on"
        )
    size = max(tokenizer.size if tokenizer else len(words), int(tokens.max()) + 1)
    ends = np.cumsum(sizes)
    return TokenText(
        tokens=np.insert(tokens, ends, np.int32(size)),
        starts=ends - sizes + np.arange(sizes.size),
        sizes=sizes,
        names=names,
        vocab_size=size,
        words=words,
        tokenizer=tokenizer,
    )


def _is_word_by_word(tokenizer: BareTokenizer, texts: Sequence[str]) -> bool:
    """Whether a text's tokens are those of its words: added tokens may lie across words."""
    return tokenizer.splits_into_words and not any(
        whole in text for whole in tokenizer.whole_texts for text in texts
    )


def _of_words(
    index: WordIndex, tokenizer: BareTokenizer | None
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    num_words = np.array([words.size for words in index.texts], dtype=np.int64)
    order = np.concatenate(index.texts)
    if tokenizer is None:
        return order.astype(np.int32), num_words
    encodings = tokenizer.tokenizer.encode_batch(list(index.words), add_special_tokens=False)
    tokens, counts = expand([encoding.ids for encoding in encodings], order)
    totals = np.concatenate(([0], np.cumsum(counts)))
    borders = np.concatenate(([0], np.cumsum(num_words)))
    return tokens, np.diff(totals[borders])


def _of_encodings(
    tokenizer: BareTokenizer, texts: Sequence[str]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    encodings = tokenizer.tokenizer.encode_batch(list(texts), add_special_tokens=False)
    ids = [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
    return np.concatenate(ids), np.array([part.size for part in ids], dtype=np.int64)


def hash_windows(tokens: NDArray[np.int32], width: int) -> NDArray[np.uint64]:
    """A 64-bit hash of every `width` tokens in a row: a polynomial, by doubling its length.

    (Karp & Rabin 1987, doi:10.1147/rd.312.0249, here modulo 2**64 and mixed before and after.)

    Returns:
        uint64 `[N - width + 1]`, empty if there are fewer than `width` tokens.
    """
    if tokens.size < width:
        return np.empty(0, dtype=np.uint64)
    power_hashes, power_width = mix(tokens.astype(np.uint64)), 1
    hashes: NDArray[np.uint64] | None = None
    done = 0
    while done < width:
        if (width - done) % (2 * power_width):  # this power of two is part of the width
            hashes = (
                power_hashes
                if hashes is None
                else _joined(hashes, power_hashes[done:], power_width)
            )
            done += power_width
        if done < width:
            power_hashes = _joined(power_hashes, power_hashes[power_width:], power_width)
            power_width *= 2
    assert hashes is not None
    return mix(hashes[: tokens.size - width + 1])


def _joined(
    left: NDArray[np.uint64], right: NDArray[np.uint64], right_width: int
) -> NDArray[np.uint64]:
    """Hashes of windows that begin as the left ones do and go on as the right ones."""
    factor = np.uint64(pow(_BASE, right_width, 2**64))
    length = min(left.size, right.size)
    return left[:length] * factor + right[:length]


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection that spreads every bit over all others (SplitMix64, Steele et al. 2014)."""
    values = values + np.uint64(_BASE)
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))
