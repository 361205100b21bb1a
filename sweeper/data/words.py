"""Words as GPT-2's tokenizer finds them before it looks for tokens inside of them.

Source of the pattern: Radford et al. 2019, the `encoder.py` of GPT-2. A text's tokens are those of
its words, and a corpus has far fewer different words than words, so each is encoded once.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class WordIndex:
    """Texts as numbers of words.

    Attributes:
        words: Every different word, in the order of its first use; spaces before it belong to it.
        texts: For each text int64, its words as indices into `words`.
    """

    words: tuple[str, ...]
    texts: tuple[NDArray[np.int64], ...]


def index_words(texts: Sequence[str]) -> WordIndex:
    """Split texts into words; the words of a text joined give the text again."""
    find = word_pattern(texts).findall
    index: defaultdict[str, int] = defaultdict()
    index.default_factory = index.__len__
    number = index.__getitem__
    numbered = tuple(np.fromiter(map(number, find(text)), dtype=np.int64) for text in texts)
    return WordIndex(tuple(index), numbered)


def word_pattern(texts: Iterable[str]) -> re.Pattern[str]:
    """GPT-2's pattern for these texts.

    It speaks of letters and numbers by their Unicode classes, which Python's `re` does not have:
    there digits are decimal ones, and other numbers, such as a half or a Roman one, pass for
    letters. Those that the texts use are named one by one.
    """
    characters = set().union(*map(set, texts))
    others = "".join(sorted(c for c in characters if unicodedata.category(c) in {"Nl", "No"}))
    letter, number = rf"[^\W\d_{others}]", rf"[\d{others}]"
    return re.compile(
        rf"'(?:[sdmt]|ll|ve|re)| ?{letter}+| ?{number}+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"
    )


def expand(
    pieces: Sequence[Sequence[int]], order: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Pieces behind each other in some order.

    Args:
        pieces: Token ids of each different word.
        order: int64 `[W]`, indices into `pieces`.

    Returns:
        All tokens (int32), and the number of tokens of each entry of `order` (int64 `[W]`).
    """
    sizes = np.array([len(piece) for piece in pieces], dtype=np.int64)
    flat = np.array([token for piece in pieces for token in piece], dtype=np.int32)
    counts = sizes[order]
    ends = np.cumsum(counts)
    shift = np.repeat((np.cumsum(sizes) - sizes)[order] - (ends - counts), counts)
    return flat[shift + np.arange(shift.size)], counts
