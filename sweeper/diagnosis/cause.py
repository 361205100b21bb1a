"""Causes: the one shape of every rule, and of what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sweeper.diagnosis.case import Case, Evidence


class Verdict(StrEnum):
    """What the evidence says about a possible cause."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNTESTABLE = "untestable"


@dataclass(frozen=True)
class Decision:
    """A rule's answer.

    Attributes:
        verdict: What the evidence says.
        confidence: From 0 to 1, in the verdict; 0 where it is untestable.
        evidence: Sentences with the numbers that it rests on (or: what is missing).
        numbers: The same by name.
    """

    verdict: Verdict
    confidence: float
    evidence: tuple[str, ...]
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Advice:
    """What to do about a cause.

    Attributes:
        id: A word for it; rules that give the same advice use the same one.
        title: What to do, in the imperative.
        reason: Why, with numbers.
        refuted_by: What outcome would show that it was the wrong thing.
        change: Hyperparameters to change, by sweeper's names; empty for advice that is not one.
        urgency: 1 (first thing to do) to 5; ties are settled by confidence.
        expect: As in a study file: `val_loss < baseline`, `speed > baseline`, or empty.
    """

    id: str
    title: str
    reason: str
    refuted_by: str
    change: Mapping[str, object] = field(default_factory=dict)
    urgency: int = 3
    expect: str = ""


@dataclass(frozen=True)
class Rule:
    """One possible cause, and how to tell.

    Attributes:
        id: As in the JSON: `untrained-base`.
        title: The cause in a few words.
        needs: Evidence without which it is untestable; `decide` is then not asked.
        decide: The rule.
        cannot_show: What it leaves open even when it is supported.
        experiment: What would decide it.
        advise: What to do if it is supported.
        explains_stall: Whether it can explain why a loss is stuck.
    """

    id: str
    title: str
    needs: tuple[Evidence, ...]
    decide: Callable[[Case], Decision]
    cannot_show: str
    experiment: str
    advise: Callable[[Case, Decision], tuple[Advice, ...]] = lambda case, decision: ()
    explains_stall: bool = False


@dataclass(frozen=True)
class Cause:
    """A rule with its answer for one case."""

    rule: Rule
    decision: Decision

    @property
    def id(self) -> str:
        """The rule's."""
        return self.rule.id

    @property
    def verdict(self) -> Verdict:
        """The decision's."""
        return self.decision.verdict

    @property
    def confidence(self) -> float:
        """The decision's."""
        return self.decision.confidence
