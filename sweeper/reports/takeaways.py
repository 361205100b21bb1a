"""One sentence for each figure, computed from the same results."""

from __future__ import annotations

import math
from collections import Counter

from sweeper.curves.finding import StopReason
from sweeper.reports import words
from sweeper.reports.conclusions import (
    MIN_COMPLETED_FOR_IMPORTANCE,
    num_completed,
    ranked_importances,
)
from sweeper.reports.rows import what_words
from sweeper.search.results import StudyResults, TrialResult


def val_loss_takeaway(results: StudyResults) -> str:
    """What the figure of all curves shows."""
    below = [
        trial
        for trial in results.trials
        if not trial.is_baseline and trial.completed and (results.delta(trial) or 0.0) < 0
    ]
    completed = sum(trial.completed and not trial.is_baseline for trial in results.trials)
    stopped = sum(trial.stop_reason is not None and not trial.completed for trial in results.trials)
    return (
        f"{len(below):,} of {words.plural(completed, 'completed trial')} besides the baseline "
        f"{'ends' if len(below) == 1 else 'end'} below it; "
        f"{words.plural(stopped, 'trial')} stopped early."
    )


def verdicts_takeaway(results: StudyResults) -> str:
    """What the figure of comparisons on other seeds shows."""
    comparisons = results.verification.comparisons if results.verification else ()
    counts = Counter(comparison.verdict.value for comparison in comparisons)
    listed = ", ".join(f"{amount} {verdict}" for verdict, amount in counts.most_common())
    return (
        f"Of {words.plural(len(comparisons), 'comparison')} {listed or 'none is there yet'}. Each "
        "dot is one seed (or, of speeds, one turn), the diamond their mean, the bar its interval."
    )


def ablation_takeaway(results: StudyResults) -> str:
    """What the figure of the changes shows."""
    return (
        "Blue: what a change makes of the best recipe, known by taking it back; orange: what it "
        "makes of the baseline alone. Where the two lie apart, changes act on each other."
    )


def comparison_takeaway(results: StudyResults) -> str:
    """What the figure of best against baseline shows."""
    best, baseline = results.best, results.baseline
    if best is None or baseline is None or best is baseline:
        return "There is no trial better than the baseline to draw beside it."
    reached = _tokens_to_reach(best, baseline.val_loss)
    if reached is None:
        return "The best trial never reaches the baseline's last validation loss."
    saved = words.share(reached, baseline.tokens)
    return (
        f"The best trial is at the baseline's last loss after {words.count(reached)} tokens "
        f"({saved} of the tokens that the baseline saw)."
    )


def _tokens_to_reach(trial: TrialResult, loss: float | None) -> int | None:
    if loss is None:
        return None
    points = trial.curve.evaluations()
    return next((p.tokens for p in points if p.val_loss is not None and p.val_loss <= loss), None)


def plane_takeaway(results: StudyResults) -> str:
    """Where in the plane of learning rate and batch the good trials lie."""
    ranked = results.ranked
    top = ranked[: max(1, len(ranked) // 4)]
    rates = [rate for t in top if isinstance(rate := t.hyperparameters.get("learning_rate"), float)]
    if len(top) < 2 or len(rates) < 2:
        return "Too few trials completed to say where good learning rates lie."
    spikes = sum(trial.stop_reason is StopReason.SPIKE for trial in results.trials)
    low, high = (words.value_words(rate) for rate in (min(rates), max(rates)))
    return (
        f"The best quarter of the completed trials ({len(top):,}) has learning rates from {low} to "
        f"{high}; {words.plural(spikes, 'trial')} ended in a spike."
    )


def importance_takeaway(results: StudyResults) -> str:
    """Which hyperparameter explains most, and whether enough trials say so."""
    ranked, amount = ranked_importances(results), num_completed(results)
    if not ranked:
        return f"No importances can be computed from {words.plural(amount, 'completed trial')}."
    name, value = ranked[0]
    sentence = f"{words.clean(name, 40)} matters most for the loss (importance {value:.0%})"
    if amount < MIN_COMPLETED_FOR_IMPORTANCE:
        return f"{sentence}, but too few trials completed ({amount}) to rely on it."
    return f"{sentence}, judged by {words.plural(amount, 'completed trial')}."


def spikes_takeaway(results: StudyResults) -> str:
    """What the figure of examined spikes shows."""
    found = [trial.examination for trial in results.trials if trial.examination is not None]
    causes = Counter(examination.cause.value for examination in found)
    listed = ", ".join(f"{amount} {cause}" for cause, amount in causes.most_common())
    return (
        f"{words.plural(len(found), 'spike')} examined: {listed}. Every line goes on from the same "
        "state, with one change; what makes the spike go is its cause."
    )


def throughput_takeaway(results: StudyResults) -> str:
    """Which trial trained fastest, and how much faster than the baseline."""
    timed = [(trial.tokens_per_s, trial) for trial in results.trials if trial.same_as is None]
    known = [(speed, trial) for speed, trial in timed if speed is not None and math.isfinite(speed)]
    if not known:
        return "No trial has trained long enough to measure its speed."
    speed, fastest = max(known, key=lambda pair: (pair[0], -pair[1].number))
    text = f"The fastest is trial {fastest.number} ({what_words(fastest)}): {words.count(speed)}"
    baseline = results.baseline
    own = None if baseline is None else baseline.tokens_per_s
    if not own or fastest is baseline:
        return f"{text} tokens/s."
    return f"{text} tokens/s, {speed / own:.3g} times the baseline's {words.count(own)}."
