"""A diagnosis: everything that the report, the JSON and the emitted study are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sweeper.diagnosis.case import Case
from sweeper.diagnosis.cause import Advice, Cause


@dataclass(frozen=True)
class TimelineRow:
    """One line of the loss table.

    Attributes:
        step: Steps done.
        train_loss: In nats; None where not logged.
        val_loss: Likewise.
        change: Of the train loss (validation loss where there is none) since the row before.
        learning_rate: As logged, or recomputed from the schedule; None where neither is possible.
        status: In words: `start`, `falling`, `flat`, `rising`, `spike`, `recovered`, ...
        is_bad: Whether the row belongs to a finding.
    """

    step: int
    train_loss: float | None
    val_loss: float | None
    change: float | None
    learning_rate: float | None
    status: str
    is_bad: bool


@dataclass(frozen=True)
class SpikeAnalysis:
    """What one spike was.

    Attributes:
        start_step: Where it was first seen.
        previous_step: The point before, so that the onset lies between the two.
        peak_step: Where it was highest.
        end_step: Last step that belongs to it.
        sentences: Nature, size (nats, per cent, perplexity, noise), start, recovery, who saw it
            (training, validation or both), what is unresolved; a sentence each.
    """

    start_step: int
    previous_step: int | None
    peak_step: int
    end_step: int
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class EventSettings:
    """The configuration at an event.

    Attributes:
        step: The event's step.
        what: `spike`, `plateau`, ...
        values: Name to value, in words, with the origin in brackets; the learning rate recomputed.
        remarks: What follows: steps into the decay, tokens seen, documents read.
    """

    step: int
    what: str
    values: Mapping[str, str]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class SpeedSegment:
    """A stretch of constant speed.

    Attributes:
        start_step: Step before its first interval.
        end_step: Last step.
        step_seconds: Median seconds of a step.
        tokens_per_second: None where tokens are unknown.
        change: Against the segment before, as a fraction of its speed; None for the first.
    """

    start_step: int
    end_step: int
    step_seconds: float
    tokens_per_second: float | None
    change: float | None


@dataclass(frozen=True)
class GapRow:
    """Validation minus training loss at one step (nats; positive: validation is worse)."""

    step: int
    train_loss: float
    val_loss: float
    gap: float


@dataclass(frozen=True)
class Recommendation:
    """One piece of advice in its place.

    Attributes:
        priority: 1 is first.
        advice: What, why, and what would refute it.
        causes: Ids of the causes that it answers to.
        confidence: Of the best of them.
    """

    priority: int
    advice: Advice
    causes: tuple[str, ...]
    confidence: float


@dataclass(frozen=True)
class CheckpointAdvice:
    """Keep a checkpoint, or ignore it.

    Attributes:
        step: Its step.
        name: Its file; empty where no folder was given.
        keep: Whether to keep it.
        reason: Why, with numbers.
    """

    step: int
    name: str
    keep: bool
    reason: str


@dataclass(frozen=True)
class ProposedTest:
    """The run to do next.

    Attributes:
        command: One shell command.
        expected: The outcome as an interval, in words with numbers.
        low: Lower end in nats; None where no interval has a basis.
        high: Upper end.
        basis: What the interval rests on.
        refuted_by: What outcome would refute the advice behind it.
        remark: What to know before running it; empty where there is nothing.
    """

    command: str
    expected: str
    low: float | None
    high: float | None
    basis: str
    refuted_by: str
    remark: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All that is said about one log; sections in the order of the report.

    Attributes:
        case: What it rests on.
        summary: Sentences: what happened, how sure, what to do first.
        timeline: The loss table, at most some thirty rows.
        spikes: Every spike and divergence.
        settings: The configuration at every event.
        speed: Stretches of constant speed.
        gap: Validation against training, where both were logged.
        gap_reading: What the gap says, in sentences.
        causes: Every rule's answer; supported first, by confidence.
        stuck: Why the loss is stuck, in sentences; empty where it is not.
        recommendations: By priority.
        test: What to run next; None where nothing is wrong.
        last_good_step: The step to go back to; None where there is none, or no need.
        last_good_reason: Why.
        checkpoints: What to keep and to ignore.
    """

    case: Case
    summary: tuple[str, ...]
    timeline: tuple[TimelineRow, ...]
    spikes: tuple[SpikeAnalysis, ...]
    settings: tuple[EventSettings, ...]
    speed: tuple[SpeedSegment, ...]
    gap: tuple[GapRow, ...]
    gap_reading: tuple[str, ...]
    causes: tuple[Cause, ...]
    stuck: tuple[str, ...]
    recommendations: tuple[Recommendation, ...]
    test: ProposedTest | None
    last_good_step: int | None
    last_good_reason: str
    checkpoints: tuple[CheckpointAdvice, ...]
