"""What a loss is held against: what knowing nothing gives, and what frequencies alone give.

A model that knows nothing predicts every token alike: its loss is ln(vocabulary). Fresh weights
with an output layer of standard deviation sigma and normed inputs of width d add d sigma^2 / 2 to
it (the mean of the log-partition over normal logits): 0.15 for GPT-2 small, 0 for a zeroed head.
"""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

FLOORS_FILE = "floors.json"
TOLERANCE_NATS = 0.15
# A loss so little below the unigrams' still counts as at them; its noise comes on top.
CLOSE_NATS = 0.05
GPT2_WIDTH = 768
GPT2_SIGMA = 0.02


class Floors(BaseModel):
    """The marks of one base, corpus and validation set.

    Attributes:
        model: The base, as the study names it.
        vocabulary: Rows of its embedding.
        hidden_size: Its width; None where its configuration does not tell.
        initializer_range: Standard deviation of its fresh weights, by its configuration.
        looks_untrained: Whether its weights look freshly drawn; None where that is not known.
        weights_evidence: Why, with numbers.
        unigram_nats: Cross-entropy of the validation predictions by the smoothed frequencies of
            the training tokens: the least loss to be had without any context.
        bigram_nats: The same by the token before each.
        num_predictions: Validation predictions that both are means of.
        ground: Names base, corpus, split and validation set by content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    vocabulary: int
    hidden_size: int | None
    initializer_range: float | None
    looks_untrained: bool | None
    weights_evidence: str
    unigram_nats: float
    bigram_nats: float
    num_predictions: int
    ground: str

    @property
    def uniform_nats(self) -> float:
        """ln(vocabulary): the loss of a blind guess."""
        return math.log(self.vocabulary)

    @property
    def fresh_band(self) -> tuple[float, float]:
        """Where the loss of freshly drawn weights lies, in nats."""
        return fresh_band(self.vocabulary, self.hidden_size, self.initializer_range)

    def is_blind(self, start: float) -> bool:
        """Whether a base that starts at this loss knows no more than fresh weights."""
        low, high = self.fresh_band
        return low <= start <= high

    def is_context_free(self, loss: float) -> bool:
        """Whether a loss is no lower than the frequencies of tokens give."""
        return is_at_unigrams(loss, self.unigram_nats)


def fresh_band(
    vocabulary: int, width: float | None = None, sigma: float | None = None
) -> tuple[float, float]:
    """Where the loss of freshly drawn weights lies, in nats, with 0.15 to spare.

    Args:
        vocabulary: Tokens to choose from.
        width: Of the hidden state; None for GPT-2 small's.
        sigma: Standard deviation of fresh weights; None for GPT-2's.
    """
    uniform = math.log(vocabulary)
    width, sigma = width or GPT2_WIDTH, sigma or GPT2_SIGMA
    spread = min(width * sigma**2 / 2, 2.0)  # an odd configuration must not swallow everything
    return uniform - TOLERANCE_NATS, uniform + spread + TOLERANCE_NATS


def is_at_unigrams(loss: float, unigram_nats: float, noise_nats: float = 0.0) -> bool:
    """Whether a loss shows no more than how frequent each token is.

    Args:
        loss: In nats a token.
        unigram_nats: What the frequencies alone give.
        noise_nats: Of the loss; up to 0.05 of it are forgiven.
    """
    return loss >= unigram_nats - CLOSE_NATS - min(max(noise_nats, 0.0), CLOSE_NATS)


def read_floors(folder: Path) -> Floors | None:
    """The marks in a study's folder; None where there are none that this version reads."""
    try:
        return Floors.model_validate_json((folder / FLOORS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None  # they are taken again when the study is next run
