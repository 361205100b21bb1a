"""How well one can predict tokens without reading: a floor that a stuck run sits on."""

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
