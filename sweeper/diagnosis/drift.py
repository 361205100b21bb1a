"""How the words of a corpus change from its beginning to its end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sweeper.curves.noise import MAD_TO_SIGMA
from sweeper.diagnosis.case import DriftWindow
from sweeper.diagnosis.text import TokenText

_MIN_WINDOWS, _MAX_WINDOWS = 8, 64
_MIN_WINDOW_TOKENS = 2_500
_COMMON_TYPES = 4_096


def find_drift(text: TokenText) -> tuple[DriftWindow, ...]:
    """Windows of equal length, each with its distance from all the others together.

    The distance is the Jensen-Shannon divergence (Lin 1991, doi:10.1109/18.61115) of the 4,096
    most frequent tokens and the rest as one. It is never zero for a sample; all windows are of one
    length so that this bias is the same in all, and `z` compares them with their median.

    Returns:
        8 to 64 windows in order; none where the text has fewer than 20,000 tokens.
    """
    num_windows = min(text.tokens.size // _MIN_WINDOW_TOKENS, _MAX_WINDOWS)
    if num_windows < _MIN_WINDOWS:
        return ()
    borders = np.linspace(0, text.tokens.size, num_windows + 1).astype(np.int64)
    divergences = _divergences(_count(text, borders))
    middle = float(np.median(divergences))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(divergences - middle)))
    return tuple(
        DriftWindow(
            int(start), int(end), float(found), (float(found) - middle) / sigma if sigma else 0.0
        )
        for (start, end), found in zip(pairwise(borders), divergences, strict=True)
    )


def _count(text: TokenText, borders: NDArray[np.int64]) -> NDArray[np.float64]:
    """Counts `[windows, types]` of the frequent tokens, and of all others as the last type."""
    totals = np.bincount(text.tokens, minlength=text.vocab_size + 1)
    frequent = np.argsort(-totals, kind="stable")[:_COMMON_TYPES]
    types = np.full(totals.size, frequent.size, dtype=np.int64)
    types[frequent] = np.arange(frequent.size)
    of_tokens = types[text.tokens]
    counts = [
        np.bincount(of_tokens[start:end], minlength=frequent.size + 1)
        for start, end in pairwise(borders)
    ]
    return np.array(counts, dtype=np.float64)


def _divergences(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row from the sum of the others, in nats."""
    others = counts.sum(axis=0) - counts
    one = counts / counts.sum(axis=1, keepdims=True)
    other = others / others.sum(axis=1, keepdims=True)
    middle = (one + other) / 2
    found: NDArray[np.float64] = _relative_entropy(one, middle) + _relative_entropy(other, middle)
    return found / 2


def _relative_entropy(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of rows, in nats; q is positive wherever p is."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    found: NDArray[np.float64] = (p * np.log(ratio)).sum(axis=1)
    return found
