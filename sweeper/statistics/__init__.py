"""Whether a difference is one: paired effects, their intervals, and many of them at once."""

from sweeper.statistics.multiplicity import holm
from sweeper.statistics.paired import LEAST_PAIRS, PairedEffect, paired_effect, sign_p_value
from sweeper.statistics.proportion import proportion_interval
from sweeper.statistics.sequential import effect_at_look

__all__ = [
    "LEAST_PAIRS",
    "PairedEffect",
    "effect_at_look",
    "holm",
    "paired_effect",
    "proportion_interval",
    "sign_p_value",
]
