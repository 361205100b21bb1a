"""The winner's curse: what the best recipes were picked for, and what is left on other seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from sweeper.search.results import StudyResults
from sweeper.search.verifying.verdicts import Comparison
from sweeper.statistics import LEAST_PAIRS, PairedEffect, effect_at_look


@dataclass(frozen=True)
class Curse:
    """A lead over the baseline in the search, beside the lead on other seeds.

    Both are losses less the baseline's in nats, so below 0 is a lead. The first is a number that
    the search has printed, not an estimate: given it, all uncertainty is in the second, and the
    interval of their difference is that of the second, moved.

    Attributes:
        trials: Numbers of the search's trials that are meant; several for their mean.
        promised: In the search, one seed for each recipe.
        found: On other seeds, which had no part in picking.
    """

    trials: tuple[int, ...]
    promised: float
    found: PairedEffect

    @property
    def removed(self) -> float:
        """So much of the lead went away; below 0 where the recipe does better than promised."""
        return self.found.mean - self.promised

    @property
    def interval(self) -> tuple[float, float]:
        """Of what is removed, at the level of what was found."""
        return self.found.low - self.promised, self.found.high - self.promised


@dataclass(frozen=True)
class Divergence:
    """One of the best recipes that diverged on other seeds."""

    trial: int
    num_diverged: int
    num_seeds: int


@dataclass(frozen=True)
class TopRecipes:
    """The best recipes of the search, on other seeds.

    Attributes:
        curses: One for each that has an effect, the search's best first.
        mean: Of all together, over the seeds that they share; None with fewer than two of them.
        best: Trial of the lowest mean over these seeds; None with fewer than two.
        best_effect: Its effect over these seeds, with an interval so wide that those of all of
            them hold together: it may be read of whichever was picked for its mean.
        diverged: Those that diverged on any seed: they have no mean, and are in none of the above.
    """

    curses: tuple[Curse, ...]
    mean: Curse | None = None
    best: int | None = None
    best_effect: PairedEffect | None = None
    diverged: tuple[Divergence, ...] = ()


def read_top(results: StudyResults) -> TopRecipes:
    """What other seeds left of the best recipes' leads; nothing where none was verified."""
    verification = results.verification
    if verification is None:
        return TopRecipes(())
    delta_of = {trial.number: results.delta(trial) for trial in results.trials}
    placed = sorted(
        (c for c in verification.comparisons if c.arm.place is not None),
        key=lambda c: c.arm.place or 0,
    )
    diverged = tuple(
        Divergence(c.arm.trial, c.num_diverged, len(c.pairs)) for c in placed if c.num_diverged
    )
    known = [
        (c, delta)
        for c in placed
        if c.effect is not None and (delta := delta_of.get(c.arm.trial)) is not None
    ]
    curses = tuple(Curse((c.arm.trial,), d, c.effect) for c, d in known if c.effect is not None)
    shared = _shared_differences([c for c, _ in known])
    if len(known) < 2 or len(shared[0]) < LEAST_PAIRS:
        return TopRecipes(curses, diverged=diverged)
    plan = verification.plan
    looks = len(plan.pairs)
    means = [fmean(at_seed) for at_seed in zip(*shared, strict=True)]
    best = min(range(len(shared)), key=lambda number: math.fsum(shared[number]))
    return TopRecipes(
        curses,
        Curse(
            tuple(c.arm.trial for c, _ in known),
            fmean(d for _, d in known),
            effect_at_look(means, num_looks=looks, alpha=plan.alpha),
        ),
        known[best][0].arm.trial,
        effect_at_look(shared[best], num_looks=looks * len(known), alpha=plan.alpha),
        diverged,
    )


def _shared_differences(comparisons: Sequence[Comparison]) -> list[list[float]]:
    """Of each comparison the differences on the seeds that all of them have."""
    of = [dict(zip(c.seeds, c.differences, strict=True)) for c in comparisons]
    return [[own[s] for s in own if all(s in other for other in of)] for own in of]
