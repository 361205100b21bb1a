"""Which of the best recipe's changes carried its gain: each taken back, and each made alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sweeper.search.verifying.looks import LossOf
from sweeper.search.verifying.variants import Direction, Variant
from sweeper.search.verifying.verdicts import Verification
from sweeper.search.verifying.verification import BASELINE, Plan
from sweeper.statistics import LEAST_PAIRS, PairedEffect, holm, paired_effect

Differences = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class Shift:
    """A mean difference over seeds.

    Attributes:
        num_diverged: Seeds on which the variant diverged.
        effect: In nats; None with too few seeds, or where a difference is infinite.
        p_value: Over all of its kind (Holm); None without an effect.
    """

    num_diverged: int
    effect: PairedEffect | None
    p_value: float | None = None


@dataclass(frozen=True)
class ChangeEffect:
    """What one change does: loss with it less loss without, so below 0 it helps.

    Attributes:
        names: The hyperparameters of the change.
        without: In the best recipe, where it is taken back.
        only: In the baseline, where it is made alone.
        interaction: The first less the second: what the other changes make of it.
    """

    names: tuple[str, ...]
    without: Shift
    only: Shift
    interaction: Shift


@dataclass(frozen=True)
class Ablation:
    """All changes of the best recipe.

    Attributes:
        trial: The search's trial with the best recipe.
        num_seeds: That each variant was trained on.
        level: Of each interval, alone.
        whole: The best recipe less the baseline on the same seeds.
        changes: In the order of the hyperparameters.
    """

    trial: int
    num_seeds: int
    level: float
    whole: Shift
    changes: tuple[ChangeEffect, ...]


def read_ablation(verification: Verification | None) -> Ablation | None:
    """What the ablation came to; None where none was planned or it is not over.

    The number of seeds is fixed and looked at once, so no look is paid for. Intervals hold each
    alone; p-values hold together, by Holm's procedure among the effects of both directions, and
    again among the interactions. Neither takes from the verdicts' error rate, nor adds to it.
    """
    if verification is None or not verification.plan.ablation or verification.next_look:
        return None
    plan, losses = verification.plan, verification.losses
    best = next(arm for arm in plan.arms if arm.place == 1)
    level = 1 - plan.alpha
    seeds = plan.seeds_of(None)
    by_place = {(v.names, v.direction): v for v in plan.ablation}
    names = list(dict.fromkeys(v.names for v in plan.ablation))

    def shift_of(change: tuple[str, ...], direction: Direction) -> tuple[Shift, Differences]:
        variant = by_place[change, direction]
        differences = _differences(plan, losses, best.key, variant)
        diverged = sum(losses.get((variant.source, s)) == math.inf for s in seeds)
        return Shift(diverged, _effect([*differences.values()], level)), differences

    found = []
    for change in names:
        without, removed = shift_of(change, "without")
        only, added = shift_of(change, "only")
        apart = [removed[s] - added[s] for s in removed if s in added]
        found.append(ChangeEffect(change, without, only, Shift(0, _effect(apart, level))))
    whole = _subtract(losses, best.key, BASELINE, seeds)
    return Ablation(
        best.trial,
        len(seeds),
        level,
        Shift(0, _effect([*whole.values()], level)),
        _adjusted(found),
    )


def _differences(plan: Plan, losses: LossOf, best: str, variant: Variant) -> Differences:
    seeds = plan.seeds_of(None)
    if variant.direction == "without":
        return _subtract(losses, best, variant.source, seeds)
    return _subtract(losses, variant.source, BASELINE, seeds)


def _subtract(losses: LossOf, own: str, other: str, seeds: Sequence[int]) -> Differences:
    """By seed, where both have a loss; 0 where both diverged."""
    pairs = {
        seed: (losses[own, seed], losses[other, seed])
        for seed in seeds
        if (own, seed) in losses and (other, seed) in losses
    }
    return {seed: a - b if a != b else 0.0 for seed, (a, b) in pairs.items()}


def _effect(differences: Sequence[float], level: float) -> PairedEffect | None:
    if len(differences) < LEAST_PAIRS or not all(map(math.isfinite, differences)):
        return None
    return paired_effect(differences, level=level)


def _adjusted(changes: Sequence[ChangeEffect]) -> tuple[ChangeEffect, ...]:
    both = _holm([shift for change in changes for shift in (change.without, change.only)])
    apart = _holm([change.interaction for change in changes])
    return tuple(
        replace(change, without=both[2 * i], only=both[2 * i + 1], interaction=apart[i])
        for i, change in enumerate(changes)
    )


def _holm(shifts: Sequence[Shift]) -> list[Shift]:
    """One that could not be tested counts as tested in vain."""
    adjusted = holm([1.0 if s.effect is None else s.effect.p_value for s in shifts])
    return [
        replace(s, p_value=None if s.effect is None else p)
        for s, p in zip(shifts, adjusted, strict=True)
    ]
