"""What was measured before a study: plain values, which those read who never import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """What a study's trials take; times hold for this machine.

    Attributes:
        seconds: Time for the search's tokens with all workers busy, evaluation included.
        trial_s: Time of one whole trial in such a crew: a worker's, shared out among all workers.
        tokens_per_s: Training speed of one worker, by block size.
        evaluation_share: Part of a trial's time that evaluation takes, 0 to 1.
        num_documents: Of the corpus, before the split.
        epoch_tokens: Training tokens in one pass over the corpus.
        evaluation_tokens: Predictions per evaluation.
        has_to_pretrain: Whether the embedded base must be made first.
    """

    seconds: float
    trial_s: float
    tokens_per_s: Mapping[int, float]
    evaluation_share: float
    num_documents: int
    epoch_tokens: int
    evaluation_tokens: int
    has_to_pretrain: bool
