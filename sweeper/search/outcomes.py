"""What a trial came to and was paid for, and how badly it ended in the sampler's eyes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweeper.curves import Point, Stop, StopReason
from sweeper.search import attributes as attrs


@dataclass(frozen=True)
class Result:
    """What a trial came to, as it is told to Optuna.

    Attributes:
        stop: Why it ended.
        val_loss: The last finite validation loss, in nats.
        tokens: Tokens seen.
        seconds: Training seconds.
        best_val_loss: Lowest loss of the other trials, for how bad a pruned one was.
        same_as: The earlier trial that lent this result.
        overflow: The smallest micro-batch, in blocks, that did not fit in memory.
    """

    stop: Stop
    val_loss: float | None
    tokens: int
    seconds: float
    best_val_loss: float | None = None
    same_as: int | None = None
    overflow: int | None = None


def failure(stop: Stop, newest: Point | None) -> Result:
    """The result of a trial that failed: what it had trained by then was paid for all the same."""
    last = newest or Point(step=0, tokens=0)
    return Result(stop, None, last.tokens, last.seconds or 0.0)


def tokens_paid(values: Mapping[str, Any]) -> int:
    """Tokens that an ended trial's attempts have trained on, those lost to a crash included."""
    return int(values.get(attrs.TOKENS, 0) + values.get(attrs.LOST_TOKENS, 0))


def violation(result: Result) -> float:
    """How badly a trial ended, for the sampler: 0 if it completed, then by reason and size.

    A pruned trial's place among the bad must not depend on how long it lasted,
    which is what Optuna's TPE would go by. So each is a constraint violation:
    the gap to the best in nats for a plateau or a peer's victory, more for a
    spike, most for what gave no usable loss at all.
    """
    match result.stop.reason:
        case StopReason.COMPLETED | StopReason.TIMEOUT | StopReason.ERROR:
            return 0.0
        case StopReason.PLATEAU | StopReason.PEERS:
            return max(_gap(result), 1e-6)
        case StopReason.SPIKE:
            return 10.0 + max(_gap(result), 0.0)
        case _:
            return 100.0


def _gap(result: Result) -> float:
    if result.val_loss is None or result.best_val_loss is None:
        return 0.0
    return result.val_loss - result.best_val_loss
