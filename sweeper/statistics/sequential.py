"""Looking at a comparison more than once, and paying for each look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sweeper.statistics.paired import LEAST_PAIRS, PairedEffect, paired_effect


@dataclass(frozen=True)
class Looks:
    """A plan, made before the first seed, of how often a comparison is looked at.

    Each look tests at an equal share of alpha. By Bonferroni's inequality a false rejection at
    any of them has probability at most alpha, whatever stops the comparison in between; and all
    intervals hold together with probability `1 - alpha` or more.

    Attributes:
        pairs: Numbers of pairs at the looks, rising; the first at least `LEAST_PAIRS`.
        alpha: Probability of calling a difference what is none.
    """

    pairs: tuple[int, ...]
    alpha: float = 0.05

    def __post_init__(self) -> None:
        rises = all(a < b for a, b in pairwise(self.pairs))
        if not self.pairs or self.pairs[0] < LEAST_PAIRS or not rises:
            raise ValueError(
                f"looks at {self.pairs} pairs (allowed: rising numbers from {LEAST_PAIRS} on)"
            )

    @property
    def level(self) -> float:
        """Of the interval at each look."""
        return 1 - self.alpha / len(self.pairs)

    def effects(self, differences: Sequence[float]) -> list[PairedEffect]:
        """What is seen at each look that so many differences allow.

        A p-value is multiplied by the number of looks; a later look never makes it larger.
        """
        seen: list[PairedEffect] = []
        for num_pairs in self.pairs:
            if num_pairs > len(differences):
                break
            found = paired_effect(differences[:num_pairs], level=self.level)
            p_value = min(found.p_value * len(self.pairs), seen[-1].p_value if seen else 1.0)
            seen.append(replace(found, p_value=p_value))
        return seen

    def next_pairs(self, num_pairs: int) -> int | None:
        """Pairs at the next look after so many; None where the plan is at its end."""
        return next((planned for planned in self.pairs if planned > num_pairs), None)
