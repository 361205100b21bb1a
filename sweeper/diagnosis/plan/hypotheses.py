"""The advice of a diagnosis as a study's hypotheses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from sweeper.diagnosis.cause import Advice, Cause
from sweeper.diagnosis.diagnosis import Recommendation
from sweeper.diagnosis.plan.baseline import PlannedBaseline
from sweeper.diagnosis.plan.ground import Ground, is_untrained
from sweeper.diagnosis.spelling import printable
from sweeper.study import Hyperparameters, HyperparameterValue, experiment_key, with_changes
from sweeper.study.hyperparameters import resolved_value
from sweeper.study.sections import Hypothesis

_LONGEST_NAME = 60
_EMBEDDINGS = Advice(
    id="embeddings and norms too",
    title="Train the embeddings and norms beside the adapter",
    reason="the base looks untrained, and an adapter alone cannot make up for that",
    refuted_by="the validation loss ends where the adapter alone ends",
    change={"train_also": "embeddings+norms"},
    expect="val_loss < baseline",
)


@dataclass(frozen=True)
class PlannedHypothesis:
    """One change to the baseline.

    Attributes:
        name: Unique in the study.
        change: Resolved values, in the order of the hyperparameters.
        expect: As in a study file; empty for none.
        reason: Why.
        refuted_by: What would show that it was wrong.
    """

    name: str
    change: Mapping[str, HyperparameterValue]
    expect: str
    reason: str
    refuted_by: str


@dataclass(frozen=True)
class PlannedHypotheses:
    """What the study tests, and what it cannot.

    Attributes:
        testable: The hypotheses.
        left_out: Changes that are none here, with the reason.
        by_hand: Advice that no hyperparameter expresses.
    """

    testable: tuple[PlannedHypothesis, ...]
    left_out: tuple[str, ...]
    by_hand: tuple[str, ...]


def plan_hypotheses(
    recommendations: Sequence[Recommendation],
    causes: Sequence[Cause],
    baseline: PlannedBaseline,
    ground: Ground,
) -> PlannedHypotheses:
    """Every advice that changes a hyperparameter, once, by priority."""
    start = with_changes(baseline.hyperparameters, {"seed": baseline.seed})
    seen = {experiment_key(start): "the baseline"}
    testable: list[PlannedHypothesis] = []
    left_out: list[str] = []
    for advice in _with_embeddings([r.advice for r in recommendations], causes):
        if not advice.change:
            continue
        name = _free_name(advice.id, [hypothesis.name for hypothesis in testable])
        change = _resolved(advice.change)
        refusal = "no study can hold its values" if change is None else _misfit(change, ground)
        if change is not None and not refusal:
            key = experiment_key(with_changes(start, change))
            refusal = f"the same experiment as {seen[key]}" if key in seen else ""
            seen.setdefault(key, name)
        if change is None or refusal:
            left_out.append(f"{name}: left out, {refusal}")
            continue
        testable.append(
            PlannedHypothesis(
                name, change, _expectation(advice.expect), advice.reason, advice.refuted_by
            )
        )
    by_hand = tuple(r.advice.title for r in recommendations if not r.advice.change)
    return PlannedHypotheses(tuple(testable), tuple(left_out), by_hand)


def _with_embeddings(advice: Sequence[Advice], causes: Sequence[Cause]) -> Iterator[Advice]:
    yield from advice
    if is_untrained(causes) and not any("train_also" in a.change for a in advice):
        yield _EMBEDDINGS


def _resolved(change: Mapping[str, object]) -> dict[str, HyperparameterValue] | None:
    try:
        values = {name: resolved_value(name, value) for name, value in change.items()}
        Hypothesis.model_validate({"name": "a change", "change": change})
    except (ValidationError, AttributeError):
        return None
    return {name: values[name] for name in Hyperparameters.model_fields if name in values}


def _misfit(change: Mapping[str, HyperparameterValue], ground: Ground) -> str:
    block = change.get("block_size")
    if ground.longest_block is not None and isinstance(block, int) and block > ground.longest_block:
        return f"{ground.model} has {ground.longest_block:,} positions, not {block:,}"
    return ""


def _expectation(expect: str) -> str:
    try:
        Hypothesis.model_validate(
            {"name": "an expectation", "change": {"rank": 1}, "expect": expect}
        )
    except ValidationError:
        return ""
    return expect


def _free_name(advice_id: str, taken: Sequence[str]) -> str:
    name = printable(advice_id.replace("-", " "))[:_LONGEST_NAME].strip() or "a change"
    free, number = name, 2
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free
