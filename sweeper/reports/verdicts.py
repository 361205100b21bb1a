"""What other seeds say, in words: a row for each comparison, and how it was judged."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from sweeper.reports import words
from sweeper.search.results import StudyResults
from sweeper.search.verifying.verdicts import Comparison, Verdict, Verification
from sweeper.search.verifying.verification import Plan
from sweeper.study import StudySpec

_UNIT = {"val_loss": "seed", "speed": "turn"}  # of replication


@dataclass(frozen=True)
class VerdictRow:
    """One comparison with the baseline, as plain words."""

    name: str
    expectation: str
    pairs: str
    effect: str
    interval: str
    p_value: str
    verdict: str


def verdict_rows(verification: Verification | None) -> list[VerdictRow]:
    """All comparisons in the order of the plan."""
    return [] if verification is None else [_row(c) for c in verification.comparisons]


def _row(comparison: Comparison) -> VerdictRow:
    arm = comparison.arm
    effect, interval = effect_words(comparison)
    diverged = f", diverged on {comparison.num_diverged}" if comparison.num_diverged else ""
    return VerdictRow(
        name=_name(comparison),
        expectation=f"{arm.metric} {arm.expects} baseline",
        pairs=words.plural(len(comparison.pairs), _UNIT[arm.metric]) + diverged,
        effect=effect,
        interval=interval,
        p_value=p_words(comparison.p_value),
        verdict=comparison.verdict.value,
    )


def _name(comparison: Comparison) -> str:
    arm = comparison.arm
    if arm.hypothesis is not None:
        return words.clean(arm.hypothesis, 80)
    which = "the best recipe" if arm.place in (None, 1) else f"number {arm.place} of the search"
    return f"{which} (trial {arm.trial})"


def effect_words(comparison: Comparison) -> tuple[str, str]:
    """The mean difference and its interval: in nats, or as a ratio of speeds."""
    effect = comparison.effect
    if effect is None:
        return words.ABSENT, words.ABSENT
    say = _times if comparison.arm.metric == "speed" else words.nats_change
    return say(effect.mean), f"{say(effect.low)} to {say(effect.high)}"


def _times(log_ratio: float) -> str:
    return words.ratio(math.exp(log_ratio))


def p_words(p_value: float | None) -> str:
    """A p-value of a table, where there is one."""
    if p_value is None:
        return words.ABSENT
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def verdict_sentences(results: StudyResults) -> str:
    """What the verdicts come to, and by which rule; empty where nothing was verified."""
    verification = results.verification
    if verification is None:
        return ""
    said = [
        _noise(verification),
        _judged_on(results.spec),
        _rule(verification),
        _tries(verification.plan),
        _speed_rule(verification),
        f"These seeds cost {words.count(verification.tokens)} tokens.",
        _left(results),
    ]
    return " ".join(filter(None, said))


def verification_words(verification: Verification) -> str:
    """How far it is, in a line."""
    verdicts = Counter(c.verdict for c in verification.comparisons)
    counted = ", ".join(f"{verdicts[v]} {v.value}" for v in Verdict if verdicts[v])
    look = verification.next_look
    if look is None:
        return f"Other seeds: {counted or 'nothing to compare'}"
    part = "Ablation after other seeds:"
    if look.number is not None:
        part = f"Other seeds: look {look.number + 1} of {len(verification.plan.pairs)},"
    ended = f"{look.num_ended} of {words.plural(look.num_trials, 'trial')} ended"
    return f"{part} {ended}; {counted}"


def _noise(verification: Verification) -> str:
    noise = verification.noise
    if noise is None:
        return ""
    return (
        f"The noise floor: over {words.plural(noise.num_seeds, 'seed')} the baseline itself "
        f"ends at {words.nats(noise.mean)} nats with a standard deviation of "
        f"{words.nats(noise.spread)}."
    )


def _judged_on(spec: StudySpec) -> str:
    """Whether the search had seen the documents that other seeds are judged on."""
    if spec.data is None:
        return "Losses are the command's own; whether it keeps a test set apart is not known here."
    if spec.data.test is None:
        return (
            "The validation set of the search also served these seeds: what fits its documents "
            "by chance still counts. data.test sets other documents apart."
        )
    return (
        f"Losses are on the test split, {100 * spec.data.test:.3g} % of the documents, on which "
        "no trial was trained and none of the search was judged."
    )


def _rule(verification: Verification) -> str:
    plan = verification.plan
    looks = " and ".join(map(str, plan.pairs))
    return (
        "How it was judged: each recipe was trained beside the baseline to its whole budget, on "
        "the same seed for both, so with the same initial adapter and the same order of the "
        "data. The unit of replication is the seed. The interval is the studentized bootstrap "
        f"of the paired differences, no wider than twice Student's; the plan was made before the "
        f"first of these seeds, to look at {looks} seeds and to end where that decides. A p-value "
        "counts all looks (Bonferroni) and all comparisons (Holm); a difference is called one up "
        f"to {plan.alpha:g}{_smallest(plan)}. It assumes that seeds are independent draws, and "
        "speaks of this corpus, this split and this budget alone."
    )


def _smallest(plan: Plan) -> str:
    if not plan.smallest:
        return ""
    return (
        f", and of losses only where it is shown to be larger than {plan.smallest:g} nats "
        "(minimum-effect test)"
    )


def _tries(plan: Plan) -> str:
    """Who asks until the answer pleases has more chances to be wrong than one plan has."""
    if not plan.num_before:
        return ""
    number = plan.num_before + 1
    before = "one before was" if plan.num_before == 1 else f"{plan.num_before} before were"
    return (
        f"This is plan number {number} of the study; {before} begun and given up. None of its "
        f"seeds was in an earlier plan, but a wrong verdict in one of the {number} has a "
        f"chance of up to {min(number * plan.alpha, 1.0):.0%}."
    )


def _speed_rule(verification: Verification) -> str:
    arms = [c for c in verification.comparisons if c.arm.metric == "speed"]
    if not arms:
        return ""
    return (
        f"Speeds were measured in {verification.plan.turns} turns of steps on random tokens, one "
        "worker alone, all recipes in every turn; the unit of replication is the turn, what is "
        "compared the logarithm of tokens a second. A difference in speed is one of this machine."
    )


def _left(results: StudyResults) -> str:
    """What is not covered: looks that are not done, a best trial found since."""
    verification = results.verification
    assert verification is not None, "only then is anything said"
    said = []
    look = verification.next_look
    if look is not None and look.number is None:
        said.append("The ablation is not over yet: go on with sweeper run, or a larger budget.")
    elif look is not None:
        undecided = sum(c.verdict is Verdict.UNDECIDED for c in verification.comparisons)
        said.append(
            f"{words.plural(undecided, 'comparison')} not decided yet: go on with sweeper run, "
            "or with a larger budget."
        )
    planned = {arm.trial for arm in verification.plan.arms}
    best = results.best
    if best is not None and not best.is_baseline and best.number not in planned:
        said.append(
            f"Trial {best.number} was found after the plan was made, and is not among them."
        )
    return " ".join(said)
