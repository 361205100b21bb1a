"""Stretches of a corpus that are unlike the rest."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from sweeper.diagnosis.drift import find_drift
from tests.diagnosis.corpora import prose, text_of, word


def test_windows_cover_the_text_in_order() -> None:
    text = text_of(*(prose(500, seed=seed) for seed in range(100)))

    windows = find_drift(text)

    assert windows[0].start_tokens == 0
    assert windows[-1].end_tokens == text.tokens.size
    assert all(one.end_tokens == other.start_tokens for one, other in pairwise(windows))
    assert all(0 <= window.divergence_nats <= math.log(2) for window in windows)


@pytest.mark.parametrize("seed", range(3))
def test_an_even_text_has_no_window_that_stands_out(seed: int) -> None:
    text = text_of(*(prose(500, seed=1_000 * seed + n) for n in range(100)))
    assert max(window.z for window in find_drift(text)) < 5


def test_another_language_in_the_middle_stands_out() -> None:
    texts = [prose(500, seed=seed) for seed in range(100)]
    texts[60:65] = [" ".join(word(5_000 + n % 90) for n in range(500)) for _ in range(5)]
    text = text_of(*texts)

    odd = max(find_drift(text), key=lambda window: window.z)

    middle = (odd.start_tokens + odd.end_tokens) // 2
    assert text.document_at(middle) in range(59, 66)
    assert odd.z > 20


def test_a_short_text_has_no_windows() -> None:
    assert find_drift(text_of(prose(19_000, seed=1))) == ()
    assert len(find_drift(text_of(prose(25_000, seed=1)))) >= 8


def test_a_text_of_one_word_does_not_drift() -> None:
    windows = find_drift(text_of("so " * 40_000))
    assert np.allclose([window.divergence_nats for window in windows], 0, atol=1e-3)
