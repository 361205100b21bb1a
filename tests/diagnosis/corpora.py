"""Small corpora with known oddities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweeper.data import Document
from sweeper.diagnosis.text import TokenText, tokenize_text

_SYLLABLES = ("ba", "ko", "ri", "mu", "te", "sha", "lon", "fi", "dra", "ne", "vo", "pel")


def words(count: int, *, seed: int, vocabulary: int = 400) -> list[str]:
    """Words drawn as in a language: a few often, most seldom."""
    random = np.random.Generator(np.random.PCG64(seed))
    ranks = np.minimum(random.zipf(1.4, count), vocabulary)
    return [word(int(rank)) for rank in ranks]


def word(number: int) -> str:
    """A made-up word; unlike numbers give unlike words."""
    text = ""
    while True:
        number, place = divmod(number, len(_SYLLABLES))
        text += _SYLLABLES[place]
        if not number:
            return text


def prose(count: int, *, seed: int) -> str:
    return " ".join(words(count, seed=seed))


def documents(texts: Sequence[str]) -> list[Document]:
    """Documents named by their place: `notes.md:0`, `notes.md:1`, ..."""
    return [Document(text, f"notes.md:{number}") for number, text in enumerate(texts)]


def text_of(*texts: str) -> TokenText:
    """Documents as words."""
    return tokenize_text(documents(texts), None)
