"""What became of the study's hypotheses: one trial each, read against the baseline's trial."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweeper.reports import words
from sweeper.reports.rows import state_words
from sweeper.search.results import StudyResults, TrialResult
from sweeper.study import Hypothesis

_ONE_SEED = "one seed"
_NO_VERDICT = f"{_ONE_SEED}, no verdict"


@dataclass(frozen=True)
class HypothesisRow:
    """One hypothesis with its outcome, as plain words."""

    name: str
    change: str
    expectation: str
    ended: str
    delta: str
    speed: str
    reading: str


def hypothesis_rows(results: StudyResults) -> list[HypothesisRow]:
    """All hypotheses in the order of the study file."""
    return [_row(results, hypothesis) for hypothesis in results.spec.hypotheses]


def _row(results: StudyResults, hypothesis: Hypothesis) -> HypothesisRow:
    trial = next((t for t in results.trials if t.hypothesis == hypothesis.name), None)
    return HypothesisRow(
        name=words.clean(hypothesis.name, 80),
        change=words.hyperparameter_words(hypothesis.change),
        expectation=words.clean(hypothesis.expect or "none stated", 80),
        ended=words.ABSENT if trial is None else f"{state_words(trial)} (trial {trial.number})",
        delta=words.nats_change(None if trial is None else results.delta(trial)),
        speed=words.ratio(speed_ratio(results, trial)),
        reading=f"{_reading(results, hypothesis, trial)}; "
        f"{_NO_VERDICT if results.verification is None else _ONE_SEED}",
    )


def speed_ratio(results: StudyResults, trial: TrialResult | None) -> float | None:
    """Tokens per second over the baseline's; None where either is unknown."""
    if trial is None or results.baseline is None:
        return None
    own, reference = trial.tokens_per_s, results.baseline.tokens_per_s
    return own / reference if own is not None and reference else None


def _reading(results: StudyResults, hypothesis: Hypothesis, trial: TrialResult | None) -> str:
    baseline = results.baseline
    if trial is None or baseline is None or not (trial.completed and baseline.completed):
        return "not finished"
    expectation = hypothesis.expectation
    if expectation is None:
        return "no expectation stated"
    if expectation.metric == "speed":
        ratio = speed_ratio(results, trial)
        change = None if ratio is None else ratio - 1.0
    else:
        change = results.delta(trial)
    if change is None or not math.isfinite(change):
        return "not measured"
    as_expected = change < 0 if expectation.operator == "<" else change > 0
    return "as expected" if as_expected else "against expectation"
