"""What a study's numbers say, in sentences: does anything beat the baseline, and by how much."""

from __future__ import annotations

import math
from collections import Counter

from sweeper.reports import words
from sweeper.reports.rows import state_words
from sweeper.search.results import StudyResults, TrialResult
from sweeper.search.verifying.ablation import read_ablation
from sweeper.search.verifying.verdicts import Comparison, Verdict

CAVEAT = (
    "How sure is this? Every trial trained once, with one seed. Training the same recipe with "
    "another seed gives another loss; this study did not measure how far those losses lie apart. "
    "A difference smaller than that cannot be told from chance, and the best of many trials looks "
    "better than it is, because it was picked for its loss. To be sure, run the best recipe and "
    "the baseline again with several seeds."
)


VERIFIED_CAVEAT = (
    "How sure is this? The search trained every trial once, with one seed, and the best of many "
    "trials looks better than it is. What further seeds say of it stands under Verdicts."
)

MIN_COMPLETED_FOR_IMPORTANCE = 10  # with fewer, importances follow single trials


def caveat(results: StudyResults) -> str:
    """How far the headline can be trusted."""
    if results.verification is None:
        return CAVEAT
    return " ".join(filter(None, [VERIFIED_CAVEAT, _carrier(results)]))


def _carrier(results: StudyResults) -> str:
    """Which change it was, where that is more than chance."""
    ablation = read_ablation(results.verification)
    if ablation is None:
        return ""
    proven = [
        (change.without.effect.mean, " with ".join(change.names))
        for change in ablation.changes
        if change.without.effect is not None
        and change.without.effect.mean < 0
        and (change.without.p_value or 0.0) <= 1 - ablation.level
    ]
    if not proven:
        return "No single change of the best recipe could be shown to carry its gain (Ablation)."
    return f"Of its changes {min(proven)[1]} carried the most (Ablation)."


def conclude(results: StudyResults) -> str:
    """Whether anything beats the baseline, and by how much, in one or two sentences."""
    best, baseline = results.best, results.baseline
    if not results.trials:
        return "No trial has begun."
    if best is None or best.val_loss is None or not math.isfinite(best.val_loss):
        return f"No trial has completed, so there is no result. {_states_sentence(results)}"
    if baseline is None or baseline.val_loss is None:
        return (
            "The baseline has no validation loss, so nothing can be compared with it. "
            f"The lowest loss is {words.nats(best.val_loss)} nats, of {_named(best)}."
        )
    if best is baseline:
        return _baseline_wins(results)
    delta = results.delta(best)
    if delta is None or not delta < 0:
        return (
            f"No trial beats the baseline: the best completed one, {_named(best)}, ends at "
            f"{words.nats(best.val_loss)} nats, the baseline at {words.nats(baseline.val_loss)}."
            f"{_baseline_remark(baseline)}"
        )
    return _beaten(best, baseline, delta) + _on_other_seeds(results, best)


def _beaten(best: TrialResult, baseline: TrialResult, delta: float) -> str:
    factor = words.ratio(words.perplexity_ratio(delta))
    return (
        f"{_named(best, start=True)} beats the baseline by {words.nats(-delta)} nats: validation "
        f"loss {words.nats(best.val_loss)} against {words.nats(baseline.val_loss)} "
        f"(perplexity {factor}), after {words.count(best.tokens)} tokens."
        f"{_baseline_remark(baseline)}"
    )


def _on_other_seeds(results: StudyResults, best: TrialResult) -> str:
    """What is left of a lead where it was not picked for it."""
    verification = results.verification
    comparisons = () if verification is None else verification.comparisons
    of_best = (c for c in comparisons if c.arm.trial == best.number and c.arm.metric == "val_loss")
    found = next(of_best, None)
    if found is None or not found.pairs:
        return ""
    seeds = words.plural(len(found.pairs), "other seed")
    effect = found.effect
    if effect is None:
        return f" On {found.num_diverged} of {seeds} it diverged." if found.num_diverged else ""
    between = f"{words.nats_change(effect.low)} to {words.nats_change(effect.high)}"
    return (
        f" On {seeds} the difference is {words.nats_change(effect.mean)} nats "
        f"({words.level(effect.level)} interval {between}): {_judged(found)}."
    )


def _judged(comparison: Comparison) -> str:
    """By its side alone: a hypothesis among the best may have expected the other one."""
    match comparison.verdict:
        case Verdict.UNDECIDED:
            return "not decided yet"
        case Verdict.NOT_DISTINGUISHABLE:
            return "the lead is not distinguishable from none"
        case _:
            is_lead = comparison.effect is not None and comparison.effect.mean < 0
            return "the lead holds" if is_lead else "the lead was luck"


def _baseline_wins(results: StudyResults) -> str:
    baseline = results.best
    others = [trial for trial in results.ranked if not trial.is_baseline]
    loss = words.nats(baseline.val_loss if baseline else None)
    if not others:
        return (
            f"Only the baseline has completed ({loss} nats), so there is nothing to compare it "
            f"with. {_states_sentence(results)}"
        )
    return (
        f"Nothing beats the baseline. It ends at {loss} nats; the next best of "
        f"{words.plural(len(others), 'other completed trial')} is {_named(others[0])} "
        f"at {words.nats(others[0].val_loss)} "
        f"({words.nats_change(results.delta(others[0]))})."
    )


def _baseline_remark(baseline: TrialResult) -> str:
    if baseline.completed:
        return ""
    return (
        f" The baseline itself has not completed ({state_words(baseline)} at "
        f"{words.count(baseline.tokens)} tokens), so the two did not see equal tokens."
    )


def _named(trial: TrialResult, *, start: bool = False) -> str:
    """A trial by number and hypothesis; `start` for the beginning of a sentence."""
    name = f"{'Trial' if start else 'trial'} {trial.number}"
    return f"{name} (\u201c{words.clean(trial.hypothesis, 60)}\u201d)" if trial.hypothesis else name


def _states_sentence(results: StudyResults) -> str:
    counts = Counter(state_words(trial) for trial in results.trials)
    listed = ", ".join(f"{amount} {name}" for name, amount in counts.most_common())
    return f"{words.plural(len(results.trials), 'trial')} so far: {listed}."


def ranked_importances(results: StudyResults) -> list[tuple[str, float]]:
    """Hyperparameters by importance, largest first; those without a number left out."""
    known = [(name, value) for name, value in results.importances.items() if math.isfinite(value)]
    return sorted(known, key=lambda pair: (-pair[1], pair[0]))


def num_completed(results: StudyResults) -> int:
    """Completed trials that were trained (a lent result adds no evidence)."""
    return sum(trial.completed and trial.same_as is None for trial in results.trials)
