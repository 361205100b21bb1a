"""The entropies of tokens without context, and with one token of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sweeper.data import bigram_entropy, context_free_losses, unigram_entropy


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


def test_what_says_nothing_about_the_next_token_leaves_the_unigrams() -> None:
    """The plain estimate would say 5.0: 40,000 pairs cannot fill 250,000 cells."""
    tokens = np.random.default_rng(0).integers(0, 500, 40_000).astype(np.int32)

    bigram = bigram_entropy(tokens, 500)

    assert math.log(500) <= bigram < math.log(500) + 0.3


def test_a_chain_is_known_to_its_entropy() -> None:
    """From each of 50 tokens to one of two others, each equally often."""
    choices = np.random.default_rng(1).integers(0, 2, 50_000)
    tokens = [0]
    for choice in choices:
        tokens.append((2 * tokens[-1] + 1 + int(choice)) % 50)
    array = np.array(tokens, dtype=np.int32)

    assert bigram_entropy(array, 50) == pytest.approx(math.log(2), abs=0.02)
    assert unigram_entropy(array, 50) > 3.8


def test_a_loop_is_known() -> None:
    assert bigram_entropy(np.array([0, 1, 2] * 5_000, dtype=np.int32), 3) < 0.01


@pytest.mark.parametrize("tokens", [[5, 5, 5], [1, 2, 3], list(range(12)), [0] * 9])
def test_few_tokens_have_a_finite_bigram_entropy(tokens: list[int]) -> None:
    assert 0 <= bigram_entropy(np.array(tokens, dtype=np.int32), 20) <= 2 * math.log(20)


@pytest.mark.parametrize("tokens", [[], [3], [3, 4]])
def test_two_tokens_are_too_few(tokens: list[int]) -> None:
    with pytest.raises(ValueError, match="needs three tokens or more"):
        bigram_entropy(np.array(tokens, dtype=np.int32), 8)


def test_losses_on_other_tokens_are_those_of_the_counts() -> None:
    """Of 3,000 pairs each of two tokens is followed by itself; asked for the other way round."""
    seen = np.array([[0, 1] * 3_000, [0, 1] * 3_000])

    same = context_free_losses(seen, np.array([[0, 1], [0, 1]]), 4)
    other = context_free_losses(seen, np.array([[0, 1], [1, 0]]), 4)

    assert same[0] == other[0] == pytest.approx(math.log(2), abs=1e-3)
    assert same[1] < 1e-3
    assert other[1] > 6


def test_a_token_that_was_never_seen_costs_much_and_not_everything() -> None:
    unigram, bigram = context_free_losses(np.array([[0] * 99, [0] * 99]), np.array([[3], [3]]), 4)
    assert 4 < unigram == bigram < 8
