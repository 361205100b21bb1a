"""A trial as a row of words: the one formatting of trials for every outlet."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweeper.curves.finding import StopReason
from sweeper.reports import words
from sweeper.search.results import StudyResults, TrialResult

MOST_ROWS = 500  # of a page's table; a study of more shows so many of the first and the last
_MOST_FIRST, _MOST_LAST = 200, 100


@dataclass(frozen=True)
class TrialRow:
    """One trial, every cell as it is read; plain text, not escaped for any format.

    Attributes:
        reason: The stop reason behind `ended`, None while the trial has not ended.
        delta: Validation loss less the baseline's, in nats.
        changes: Hyperparameters that differ from the baseline; for the baseline its main ones.
    """

    number: str
    what: str
    ended: str
    val_loss: str
    delta: str
    perplexity: str
    tokens: str
    seconds: str
    tokens_per_s: str
    changes: str
    reason: StopReason | None
    is_baseline: bool
    is_best: bool


def trial_rows(results: StudyResults) -> list[TrialRow]:
    """All trials as rows, best first.

    Completed trials come first by loss, then the others by their last loss, then those
    without one.
    """
    return [_row(results, trial) for trial in _in_order(results)]


def first_rows(results: StudyResults, most: int) -> list[TrialRow]:
    """So many of all rows; the baseline is always among them."""
    trials = _in_order(results)
    head = trials[:most]
    if len(trials) > most and not any(trial.is_baseline for trial in head):
        head = head[:-1] + [trial for trial in trials if trial.is_baseline][:1] or head
    return [_row(results, trial) for trial in head]


def page_rows(results: StudyResults) -> list[TrialRow]:
    """The rows that a page can show: all, or of thousands both ends and what the file names.

    A row without a number stands for those that are left out.
    """
    trials = _in_order(results)
    if len(trials) <= MOST_ROWS:
        return [_row(results, trial) for trial in trials]
    head, tail = trials[:_MOST_FIRST], trials[-_MOST_LAST:]
    between = trials[_MOST_FIRST:-_MOST_LAST]
    named = [trial for trial in between if trial.is_baseline or trial.hypothesis]
    named = named[: MOST_ROWS - len(head) - len(tail)]
    hidden = len(between) - len(named)
    groups = ([_row(results, trial) for trial in part] for part in (head, named, tail))
    first, middle, last = groups
    return [*first, *middle, _left_out(hidden), *last]


def _in_order(results: StudyResults) -> list[TrialResult]:
    return sorted(results.trials, key=_place)


def _left_out(amount: int) -> TrialRow:
    cells = ("",) * 7
    what = f"{words.plural(amount, 'more trial')} in trials.csv"
    return TrialRow("…", what, *cells, changes="", reason=None, is_baseline=False, is_best=False)


def _place(trial: TrialResult) -> tuple[int, float, int]:
    if trial.val_loss is None or not math.isfinite(trial.val_loss):
        return (2, 0.0, trial.number)
    return (0 if trial.completed else 1, trial.val_loss, trial.number)


def _row(results: StudyResults, trial: TrialResult) -> TrialRow:
    delta = None if trial.is_baseline else results.delta(trial)
    return TrialRow(
        number=str(trial.number),
        what=what_words(trial),
        ended=state_words(trial),
        val_loss=words.nats(trial.val_loss),
        delta=words.nats_change(delta),
        perplexity=words.ratio(words.perplexity_ratio(delta)),
        tokens=words.count(trial.tokens),
        seconds=words.duration(trial.seconds),
        tokens_per_s=words.count(trial.tokens_per_s),
        changes=_changes(results, trial),
        reason=trial.stop_reason,
        is_baseline=trial.is_baseline,
        is_best=trial is results.best,
    )


def what_words(trial: TrialResult) -> str:
    """Where a trial comes from: the baseline, a hypothesis by name, or the sampler."""
    origin = "baseline" if trial.is_baseline else "sampled"
    if trial.hypothesis and not trial.is_baseline:
        origin = words.clean(trial.hypothesis, 60) or "unnamed hypothesis"
    return origin if trial.same_as is None else f"{origin}, same as {trial.same_as}"


def state_words(trial: TrialResult) -> str:
    """How a trial ended, or that it has not."""
    if trial.stop_reason is None:
        return words.clean(trial.state, 20)
    return words.stop_words(trial.stop_reason)


def _changes(results: StudyResults, trial: TrialResult) -> str:
    baseline, values = results.baseline, trial.hyperparameters
    if not values:
        return "not chosen yet"
    if trial.is_baseline or baseline is None:
        return words.hyperparameter_words(
            {name: values[name] for name in words.MAIN_HYPERPARAMETERS if name in values}
        )
    changed = words.changed_hyperparameters(values, baseline.hyperparameters)
    return words.hyperparameter_words(changed) or "nothing changed"
