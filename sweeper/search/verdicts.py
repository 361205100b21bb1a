"""What other seeds say of a study's hypotheses and of its best recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sweeper.curves import StopReason
from sweeper.search import attributes as attrs
from sweeper.search.progress import stop_reason_of
from sweeper.search.storage import has_begun
from sweeper.search.store import StudyStore
from sweeper.search.verification import BASELINE, Arm, Plan, look_recipes, look_study, read_plan
from sweeper.statistics import LEAST_PAIRS, PairedEffect, holm, paired_effect, sign_p_value
from sweeper.study import StudySpec

Losses = Mapping[str, Mapping[int, float]]  # by arm, then by seed; inf for a run that diverged


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
        differences: Loss of the arm less the baseline's for every seed with both, in nats;
            infinite where one of them diverged.
        num_diverged: Seeds on which the arm diverged.
        effect: The mean difference as of the newest look; None before the first, and where any
            difference is infinite.
        p_value: As of the newest look, over all looks and all comparisons of the plan; None
            before the first.
        verdict: What it came to.
    """

    arm: Arm
    differences: tuple[float, ...]
    num_diverged: int
    effect: PairedEffect | None
    p_value: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Verification:
    """All comparisons of a plan, as far as it was carried out.

    Attributes:
        plan: What was planned.
        baseline_losses: The baseline's final losses, by seed.
        noise: Mean and interval of the baseline's own loss over seeds; None with too few.
        comparisons: In the order of the plan's arms.
        next_look: Number of the look that is not finished, with the arms that it is for; None
            where nothing is left to do.
        tokens: Tokens that were spent on it.
        seconds: Training seconds that were spent on it.
    """

    plan: Plan
    baseline_losses: tuple[float, ...]
    noise: PairedEffect | None
    comparisons: tuple[Comparison, ...]
    next_look: tuple[int, tuple[str, ...]] | None
    tokens: int
    seconds: float


@dataclass
class _Spent:
    tokens: int = 0
    seconds: float = 0.0


def load_verification(spec: StudySpec) -> Verification | None:
    """What was found so far; None where no plan was begun.

    Raises:
        StorageError: The plan or a look's study cannot be read.
    """
    plan = read_plan(spec)
    if plan is None:
        return None
    losses: dict[str, dict[int, float]] = {BASELINE: {}, **{arm.name: {} for arm in plan.arms}}
    spent = _Spent()
    comparisons = _undecided(plan)
    next_look = None
    for look in range(len(plan.pairs)):
        names = tuple(c.arm.name for c in comparisons if c.verdict is Verdict.UNDECIDED)
        if not names:
            break
        if not _read_look(spec, plan, look, names, losses, spent):
            next_look = look, names
            break
        comparisons = _judged(plan, look, losses, comparisons)
    baseline = tuple(losses[BASELINE].values())
    finite = [loss for loss in baseline if math.isfinite(loss)]
    noise = paired_effect(finite, level=0.95) if len(finite) >= LEAST_PAIRS else None
    return Verification(
        plan, baseline, noise, tuple(comparisons), next_look, spent.tokens, spent.seconds
    )


def _undecided(plan: Plan) -> list[Comparison]:
    return [Comparison(arm, (), 0, None, None, Verdict.UNDECIDED) for arm in plan.arms]


def _read_look(
    spec: StudySpec,
    plan: Plan,
    look: int,
    names: Sequence[str],
    losses: dict[str, dict[int, float]],
    spent: _Spent,
) -> bool:
    """Add a look's final losses; whether all its trials have ended."""
    study = look_study(spec, plan, look, names)
    if not has_begun(study):
        return False
    trials = StudyStore(study, create=False).trials()
    recipes = look_recipes(spec, plan, look, names)
    for trial, (name, seed, _) in zip(trials, recipes, strict=False):
        if not trial.state.is_finished():
            continue
        values = trial.user_attrs
        spent.tokens += values.get(attrs.TOKENS, 0)
        spent.seconds += values.get(attrs.SECONDS, 0.0)
        reason, loss = stop_reason_of(trial), values.get(attrs.VAL_LOSS)
        if reason is StopReason.NON_FINITE:
            losses[name][seed] = math.inf
        elif reason is StopReason.COMPLETED and loss is not None:
            losses[name][seed] = loss
    return len(trials) == len(recipes) and all(trial.state.is_finished() for trial in trials)


def _judged(
    plan: Plan, look: int, losses: Losses, before: Sequence[Comparison]
) -> list[Comparison]:
    """All comparisons as of a look: what was decided stays, the others are judged together."""
    found = [
        _measured(plan, c.arm, losses) if c.verdict is Verdict.UNDECIDED else c for c in before
    ]
    raw = [_raw_p_value(plan, c) for c in found]
    adjusted = holm([1.0 if p is None else p for p in raw])
    is_last = look == len(plan.pairs) - 1
    return [
        _decided(c, p, plan.alpha, is_last) if c.verdict is Verdict.UNDECIDED else c
        for c, p in zip(found, adjusted, strict=True)
    ]


def _measured(plan: Plan, arm: Arm, losses: Losses) -> Comparison:
    pairs = [
        (losses[arm.name][seed], losses[BASELINE][seed])
        for seed in plan.seeds
        if seed in losses[arm.name] and seed in losses[BASELINE]
    ]
    differences = tuple(own - base if own != base else 0.0 for own, base in pairs)
    effects = plan.looks.effects(differences) if all(map(math.isfinite, differences)) else []
    return Comparison(
        arm,
        differences,
        sum(math.isinf(own) for own, _ in pairs),
        effects[-1] if effects else None,
        None,
        Verdict.UNDECIDED,
    )


def _raw_p_value(plan: Plan, comparison: Comparison) -> float | None:
    """Before Holm; where a run diverged, a mean says nothing and the signs are counted."""
    if comparison.effect is not None:
        return comparison.effect.p_value
    if all(map(math.isfinite, comparison.differences)):
        return None  # too few pairs came to their end
    return min(sign_p_value(comparison.differences) * len(plan.pairs), 1.0)


def _decided(comparison: Comparison, p_value: float, alpha: float, is_last: bool) -> Comparison:
    verdict = Verdict.NOT_DISTINGUISHABLE if is_last else Verdict.UNDECIDED
    if p_value <= alpha:
        side = "<" if _middle(comparison.differences) < 0 else ">"
        is_expected = side == comparison.arm.expects
        verdict = Verdict.SUPPORTED if is_expected else Verdict.REFUTED
    return replace(comparison, p_value=p_value, verdict=verdict)


def _middle(differences: Sequence[float]) -> float:
    """The mean, or the median where it is infinite."""
    if all(map(math.isfinite, differences)):
        return math.fsum(differences) / len(differences)
    return sorted(differences)[len(differences) // 2]
