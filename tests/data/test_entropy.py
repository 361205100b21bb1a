"""The unigram entropy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sweeper.data import unigram_entropy


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([3, 3, 3], 0.0),
        ([0, 1, 2, 3], math.log(4)),
        ([0, 0, 1, 1], math.log(2)),
        ([0, 0, 0, 1], 2 * math.log(2) - 0.75 * math.log(3)),
    ],
)
def test_known_entropies(tokens: list[int], expected: float) -> None:
    assert unigram_entropy(np.array(tokens, dtype=np.int32), 8) == pytest.approx(expected)


@pytest.mark.parametrize("tokens", [[], [8], [-1]])
def test_what_is_no_token_is_refused(tokens: list[int]) -> None:
    with pytest.raises(ValueError, match=r"undefined|do not fit a vocabulary of 8"):
        unigram_entropy(np.array(tokens, dtype=np.int32), 8)
