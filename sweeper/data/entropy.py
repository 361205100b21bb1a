"""How well one can predict tokens with no context, or one token: floors that stuck runs sit on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def unigram_entropy(tokens: NDArray[np.int32], vocabulary: int) -> float:
    """The entropy of the tokens' frequencies, in nats.

    The best loss that a model can reach on these tokens if it ignores all context. This is the
    plain maximum-likelihood estimate, which is too low for few tokens (by about
    `vocabulary used / (2 * tokens)`, Miller 1955); no correction is made.

    Args:
        tokens: Token ids, at least one.
        vocabulary: Number of ids; every id lies in `[0, vocabulary)`.

    Raises:
        ValueError: There is no token, or an id outside the vocabulary.
    """
    if tokens.size == 0:
        raise ValueError("the entropy of no tokens is undefined")
    if tokens.min() < 0 or tokens.max() >= vocabulary:
        raise ValueError(
            f"token ids {tokens.min()} to {tokens.max()} do not fit a vocabulary of {vocabulary}"
        )
    counts = np.bincount(tokens, minlength=vocabulary)
    shares = counts[counts > 0] / tokens.size
    return float(max(0.0, -(shares * np.log(shares)).sum()))


_CHUNK_TOKENS = 1024
_FOLDS = 5


def bigram_entropy(tokens: NDArray[np.int32], vocabulary: int) -> float:
    """What a token tells about the next: the cross-entropy of a bigram model, in nats a token.

    The plain estimate, from the same tokens that were counted, is a trap: most pairs of a corpus
    stand in it once, so that it would be far too low (every pair seen once is predicted with
    certainty). Here every fifth chunk of 1,024 tokens is held out and predicted from the others,
    which can only be too high: it is an upper bound of what a bigram model can reach.

    Smoothing: absolute discounting, interpolated with the unigrams and these with the uniform
    distribution; discounts n1 / (n1 + 2 n2) from the pairs and tokens seen once and twice (Ney,
    Essen & Kneser 1994, doi:10.1006/csla.1994.1001; Chen & Goodman 1999, section 2.5).

    Args:
        tokens: Token ids in their order, at least three: a pair to learn from, one to predict.
        vocabulary: Number of ids; every id lies in `[0, vocabulary)`.

    Raises:
        ValueError: There are fewer.
    """
    if tokens.size < 3:
        raise ValueError(f"a bigram model needs three tokens or more, not {tokens.size}")
    pairs = tokens[:-1].astype(np.int64) * vocabulary + tokens[1:]
    chunk = min(_CHUNK_TOKENS, max(pairs.size // (2 * _FOLDS), 1))
    is_held_out = np.arange(pairs.size) // chunk % _FOLDS == _FOLDS - 1
    if not is_held_out.any():  # a handful of tokens
        is_held_out[-1] = True
    return _cross_entropies(pairs[~is_held_out], pairs[is_held_out], vocabulary)[1]


def context_free_losses(
    seen: NDArray[np.integer], asked: NDArray[np.integer], vocabulary: int
) -> tuple[float, float]:
    """What a unigram and a bigram model lose on other tokens than those they were counted on.

    Smoothing: as for `bigram_entropy`.

    Args:
        seen: `[2, N]`, tokens and what follows each, to count; at least one pair.
        asked: `[2, M]`, the same, to predict; at least one pair.
        vocabulary: Number of ids; every id lies in `[0, vocabulary)`.

    Returns:
        Mean surprise at what follows, in nats: by the frequencies of what follows, and by the
        token before.
    """
    pairs, wanted = (part[0].astype(np.int64) * vocabulary + part[1] for part in (seen, asked))
    return _cross_entropies(pairs, wanted, vocabulary)


def _cross_entropies(
    seen: NDArray[np.int64], held_out: NDArray[np.int64], vocabulary: int
) -> tuple[float, float]:
    """Mean surprise at held-out pairs (first * vocabulary + second) by those seen, in nats.

    Returns:
        By the unigrams, and by the bigrams.
    """
    unigrams = _smoothed_shares(np.bincount(seen % vocabulary, minlength=vocabulary))
    kinds, counts = np.unique(seen, return_counts=True)
    discount = _discount(counts)
    num_seen = np.bincount(seen // vocabulary, minlength=vocabulary)
    num_kinds = np.bincount(kinds // vocabulary, minlength=vocabulary)
    first, second = np.divmod(held_out, vocabulary)
    by_unigrams = unigrams[second]
    kept = np.maximum(_lookup(kinds, counts, held_out) - discount, 0.0)
    mixed = (kept + discount * num_kinds[first] * by_unigrams) / np.maximum(num_seen[first], 1)
    by_bigrams = np.where(num_seen[first] > 0, mixed, by_unigrams)
    return float(-np.log(by_unigrams).mean()), float(-np.log(by_bigrams).mean())


def _smoothed_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities of all ids, none of them zero: what is discounted is spread evenly."""
    discount = _discount(counts)
    spread = discount * np.count_nonzero(counts) / counts.size
    shares: NDArray[np.float64] = (np.maximum(counts - discount, 0.0) + spread) / counts.sum()
    return shares


def _discount(counts: NDArray[np.int64]) -> float:
    """How much each count is too high; a half where nothing was seen just once."""
    once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
    return once / (once + 2 * twice) if once else 0.5


def _lookup(
    kinds: NDArray[np.int64], counts: NDArray[np.int64], wanted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The count of each wanted kind, 0 for those never seen; `kinds` are ascending."""
    places = np.minimum(np.searchsorted(kinds, wanted), kinds.size - 1)
    return np.where(kinds[places] == wanted, counts[places], 0)
