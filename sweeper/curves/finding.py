"""What a detector says about a curve, and how a trial can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class FindingKind(StrEnum):
    """The kinds of thing that can go wrong on a curve."""

    SPIKE = "spike"
    DIVERGENCE = "divergence"
    NON_FINITE = "non_finite"
    PLATEAU = "plateau"
    OVERFIT = "overfit"
    THROUGHPUT_DROP = "throughput_drop"
    NEVER_LEARNED = "never_learned"
    WEIGHTS_NOT_UPDATING = "weights_not_updating"
    EVAL_NOT_TRACKING = "eval_not_tracking"


class StopReason(StrEnum):
    """How a trial ended; every ended trial has exactly one."""

    COMPLETED = "completed"
    SPIKE = "spike"
    NON_FINITE = "non_finite"
    PLATEAU = "plateau"
    PEERS = "peers"
    OUT_OF_MEMORY = "out_of_memory"
    PREEMPTED = "preempted"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One event on a curve.

    Attributes:
        kind: What it is.
        start_step: First step that belongs to it.
        end_step: Last step that belongs to it, as far as the curve goes.
        severity: Its size in nats; a ratio of step times for a throughput drop; 0
            where a size makes no sense, as for NaN.
        recovered: Whether the curve came back; None where that has no meaning.
        evidence: The numbers that it rests on, in one sentence.
        numbers: The same by name, for those who calculate with them.
    """

    kind: FindingKind
    start_step: int
    end_step: int
    severity: float
    recovered: bool | None
    evidence: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Stop:
    """A decision to end a trial: why, and on what evidence."""

    reason: StopReason
    evidence: str
