"""What other seeds say of a study's hypotheses and of its best recipe."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean, stdev

from sweeper.search.verifying.looks import Look, LossOf, read_look
from sweeper.search.verifying.pacing import read_speeds
from sweeper.search.verifying.verification import BASELINE, Arm, Plan, read_plan
from sweeper.statistics import LEAST_PAIRS, PairedEffect, effect_at_look, holm, sign_p_value
from sweeper.study import StudySpec


class Verdict(StrEnum):
    """What a comparison came to."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    NOT_DISTINGUISHABLE = "not distinguishable"
    UNDECIDED = "undecided"  # there are looks left


@dataclass(frozen=True)
class Comparison:
    """An arm against the baseline, seed by seed.

    Attributes:
        arm: What is compared.
        pairs: What was measured of the arm and of the baseline. Losses in nats for every seed
            with both as of the newest look, infinite for a run that diverged; or tokens a second
            in every turn.
        seeds: Those of the pairs, in their order; none for speeds.
        effect: The mean difference as of the newest look, its p-value and interval over all
            looks; None before the first, and where any difference is infinite.
        p_value: As of the newest look, over all looks and all comparisons of the plan; None
            where nothing could be tested.
        verdict: What it came to.
    """

    arm: Arm
    pairs: tuple[tuple[float, float], ...] = ()
    seeds: tuple[int, ...] = ()
    effect: PairedEffect | None = None
    p_value: float | None = None
    verdict: Verdict = Verdict.UNDECIDED

    @property
    def differences(self) -> tuple[float, ...]:
        """Loss of the arm less the baseline's, in nats, or the same of the logarithm of its speed.

        0 where both diverged.
        """
        if self.arm.metric == "speed":
            return tuple(math.log(own / base) for own, base in self.pairs)
        return tuple(own - base if own != base else 0.0 for own, base in self.pairs)

    @property
    def num_diverged(self) -> int:
        """Seeds on which the arm diverged."""
        return sum(math.isinf(own) for own, _ in self.pairs)


@dataclass(frozen=True)
class SeedNoise:
    """How far runs of one recipe lie apart by their seeds alone.

    Attributes:
        num_seeds: Runs that it rests on.
        mean: Of their final losses, in nats.
        spread: Their standard deviation, in nats.
    """

    num_seeds: int
    mean: float
    spread: float


@dataclass(frozen=True)
class Verification:
    """All comparisons of a plan, as far as it was carried out.

    Attributes:
        plan: What was planned.
        looks: Those that were begun or are next, in their order, and then the ablation; only the
            last may not be over.
        comparisons: In the order of the plan's arms.
        speeds_s: Seconds that measuring speeds took, one worker's and the wall clock's alike.
    """

    plan: Plan
    looks: tuple[Look, ...]
    comparisons: tuple[Comparison, ...]
    speeds_s: float = 0.0

    @property
    def next_look(self) -> Look | None:
        """The look that is not over; None where nothing is left to do."""
        return next((look for look in self.looks if not look.is_over), None)

    @property
    def finished_looks(self) -> tuple[Look, ...]:
        """Those that are over."""
        return tuple(look for look in self.looks if look.is_over)

    @property
    def losses(self) -> LossOf:
        """All that was trained so far, by key and seed."""
        return ChainMap(*(dict(look.losses) for look in self.looks))

    @property
    def tokens(self) -> int:
        """Tokens that were spent on it."""
        return sum(look.tokens for look in self.looks)

    @property
    def wall_clock_s(self) -> float:
        """Seconds for which it was at work."""
        return self.speeds_s + math.fsum(look.wall_clock_s for look in self.looks)

    @property
    def worker_s(self) -> float:
        """Seconds at work of all its workers."""
        return self.speeds_s + math.fsum(look.worker_s for look in self.looks)

    @property
    def noise(self) -> SeedNoise | None:
        """Of the baseline; None with fewer than five seeds on which it stayed finite."""
        losses = [
            loss
            for look in self.looks
            for (key, _), loss in look.losses.items()
            if key == BASELINE and math.isfinite(loss)
        ]
        if len(losses) < LEAST_PAIRS:
            return None
        return SeedNoise(len(losses), fmean(losses), stdev(losses))


def load_verification(spec: StudySpec) -> Verification | None:
    """What was found so far; None where no plan was begun.

    Raises:
        StorageError: The plan or a look's study cannot be read.
    """
    plan = read_plan(spec)
    if plan is None:
        return None
    looks: list[Look] = []
    measured = read_speeds(spec)
    speeds = measured.of
    comparisons = _judged(plan, {}, speeds, [Comparison(arm) for arm in plan.arms], is_last=False)
    for number in range(len(plan.pairs)):
        keys = _undecided_losses(comparisons)
        if not keys:
            break
        looks.append(read_look(spec, plan, number, keys))
        if not looks[-1].is_over:
            break
        losses = ChainMap(*(dict(look.losses) for look in looks))
        is_last = number == len(plan.pairs) - 1
        comparisons = _judged(plan, losses, speeds, comparisons, is_last=is_last)
    if not _undecided_losses(comparisons):  # then no p-value of the others will fall any more
        comparisons = _judged(plan, {}, speeds, comparisons, is_last=True)
        if plan.ablation_keys:
            looks.append(read_look(spec, plan, None, plan.ablation_keys))
    return Verification(plan, tuple(looks), tuple(comparisons), measured.wall_clock_s)


def _undecided_losses(comparisons: Sequence[Comparison]) -> list[str]:
    """Keys of the arms for which another look is of use."""
    return [
        c.arm.key
        for c in comparisons
        if c.verdict is Verdict.UNDECIDED and c.arm.metric == "val_loss"
    ]


def _judged(
    plan: Plan,
    losses: LossOf,
    speeds: Mapping[str, Sequence[float]],
    before: Sequence[Comparison],
    *,
    is_last: bool,
) -> list[Comparison]:
    """All comparisons as of a look: what was decided stays, the others are judged together.

    Of one that is undecided the newest look's p-value counts alone. It is never below the least
    of all looks, for which Bonferroni's inequality and Holm's procedure hold; so they hold here.
    """
    found = [
        c if c.verdict is not Verdict.UNDECIDED else _measured(plan, c.arm, losses, speeds)
        for c in before
    ]
    raw = [_raw_p_value(plan, c) for c in found]
    adjusted = holm([1.0 if p is None else p for p in raw])
    return [
        _decided(c, None if raw_p is None else p, plan.alpha, is_last)
        if c.verdict is Verdict.UNDECIDED
        else c
        for c, raw_p, p in zip(found, raw, adjusted, strict=True)
    ]


def _measured(
    plan: Plan, arm: Arm, losses: LossOf, speeds: Mapping[str, Sequence[float]]
) -> Comparison:
    if arm.metric == "speed":
        found = Comparison(
            arm, tuple(zip(speeds.get(arm.key, ()), speeds.get(BASELINE, ()), strict=False))
        )
        if not found.pairs:
            return found
        effect = effect_at_look(found.differences, num_looks=1, alpha=plan.alpha)
        return replace(found, effect=effect)
    seeds = tuple(s for s in plan.seeds if (arm.key, s) in losses and (BASELINE, s) in losses)
    pairs = tuple((losses[arm.key, seed], losses[BASELINE, seed]) for seed in seeds)
    found = Comparison(arm, pairs, seeds)
    differences = found.differences
    if len(differences) < LEAST_PAIRS or not all(map(math.isfinite, differences)):
        return found
    effect = effect_at_look(
        differences, num_looks=len(plan.pairs), alpha=plan.alpha, smallest=plan.smallest
    )
    return replace(found, effect=effect)


def _raw_p_value(plan: Plan, comparison: Comparison) -> float | None:
    """Before Holm; where a run diverged, a mean says nothing and the signs are counted."""
    if comparison.effect is not None:
        return comparison.effect.p_value
    if all(map(math.isfinite, comparison.differences)):
        return None  # too few pairs came to their end
    return min(sign_p_value(comparison.differences) * len(plan.pairs), 1.0)


def _decided(
    comparison: Comparison, p_value: float | None, alpha: float, is_last: bool
) -> Comparison:
    is_over = is_last and (comparison.arm.metric == "val_loss" or comparison.effect is not None)
    verdict = Verdict.NOT_DISTINGUISHABLE if is_over else Verdict.UNDECIDED
    if p_value is not None and p_value <= alpha:
        side = "<" if _middle(comparison.differences) < 0 else ">"
        is_expected = side == comparison.arm.expects
        verdict = Verdict.SUPPORTED if is_expected else Verdict.REFUTED
    return replace(comparison, p_value=p_value, verdict=verdict)


def _middle(differences: Sequence[float]) -> float:
    """The mean, or the median where it is infinite."""
    if all(map(math.isfinite, differences)):
        return math.fsum(differences) / len(differences)
    return sorted(differences)[len(differences) // 2]
