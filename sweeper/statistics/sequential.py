"""Looking at a comparison more than once, and paying for each look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sweeper.statistics.paired import PairedEffect, paired_effect


def effect_at_look(
    differences: Sequence[float], *, num_looks: int, alpha: float = 0.05, smallest: float = 0.0
) -> PairedEffect:
    """Effect as of one of several looks, of a number that is fixed before the first of them.

    Each look tests at an equal share of alpha: its p-value is multiplied by the number of looks,
    and its interval is as wide as that share asks for. By Bonferroni's inequality a false
    rejection at any look has probability at most alpha, whatever stops the comparison in between,
    and the intervals of all looks hold together with probability `1 - alpha` or more.

    Args:
        differences: All that are known at this look; finite, `LEAST_PAIRS` or more.
        num_looks: That the plan allows, 1 or more.
        alpha: Probability of calling a difference what is none, in (0, 1).
        smallest: Effect that matters; see `paired_effect`.

    Raises:
        ValueError: There are too few differences, or one is not finite.
    """
    found = paired_effect(differences, level=1 - alpha / num_looks, smallest=smallest)
    return replace(found, p_value=min(found.p_value * num_looks, 1.0))
