"""Whether pruning was right: a random share of the trials that it would end go on to their end.

Which ones is drawn from the study's seed and the trial's number alone, so it neither depends on how
a trial does nor changes with a resume, and what becomes of them stands for all that were pruned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sweeper.curves import Point, Stop, StopReason
from sweeper.study import StudySpec
from sweeper.training.lost import Lost
from sweeper.training.watches import Watch

GOOD = 0.01  # a loss within this share of the best counts as good
AUDITABLE = (StopReason.SPIKE, StopReason.PLATEAU, StopReason.PEERS)
_DRAW = 0xA0D17  # apart from other draws of the same seed and number


@dataclass(frozen=True)
class Audit:
    """The stop that a trial went on from.

    Attributes:
        reason: Why it would have been ended.
        tokens: When.
        evidence: The sentence behind it.
        seconds: Of training, when.
        lost: What interrupted attempts had lost by then.
    """

    reason: StopReason
    tokens: int
    evidence: str
    seconds: float | None = None
    lost: Lost = field(default_factory=Lost)

    @classmethod
    def read(cls, value: Mapping[str, Any] | None) -> Audit | None:
        """The audit in a trial's attribute; None where there is none.

        Earlier versions did not keep when it was but in tokens.
        """
        if not value:
            return None
        given = {
            **value,
            "reason": StopReason(value["reason"]),
            "lost": Lost(**value.get("lost", {})),
        }
        return cls(**given)

    def as_dict(self) -> dict[str, Any]:
        """The form of the trial's attribute."""
        return {**asdict(self), "reason": self.reason.value}

    def extra(self, tokens: int, seconds: float, lost: Lost) -> Lost:
        """What a trial has cost since, all that was trained twice or thrown away included.

        Args:
            tokens: Where it stands.
            seconds: Of training, where it stands.
            lost: What all its interrupted attempts have lost.
        """
        speed = seconds / tokens if tokens else 0.0
        stopped_s = self.tokens * speed if self.seconds is None else self.seconds
        return Lost(
            max(tokens + lost.tokens - self.tokens - self.lost.tokens, 0),
            max(seconds + lost.seconds - stopped_s - self.lost.seconds, 0.0),
        )


def is_audited(spec: StudySpec, number: int) -> bool:
    """Whether a trial goes on to its end where pruning would end it."""
    if spec.prune.audit is None:
        return False
    draw = np.random.default_rng([spec.seed, number, _DRAW]).random()
    return bool(draw < spec.prune.audit)


def is_good(val_loss: float, best: float) -> bool:
    """Whether a loss is within a hundredth of the best; both in nats."""
    return val_loss <= (1 + GOOD) * best


class Audited:
    """A watch whose pruning is written down and not obeyed; a loss that is no number still ends.

    Args:
        watch: Judges.
        note: Given the first stop that it would have made.
    """

    def __init__(self, watch: Watch, note: Callable[[Audit], None]) -> None:
        self._watch = watch
        self._note = note
        self._is_noted = False

    def update(self, point: Point) -> Stop | None:
        """See `Watch.update`."""
        stop = self._watch.update(point)
        if stop is None or stop.reason not in AUDITABLE:
            return stop
        if not self._is_noted:
            self._note(Audit(stop.reason, point.tokens, stop.evidence, point.seconds))
            self._is_noted = True
        return None

    def replay(self, point: Point) -> None:
        """See `Watch.replay`."""
        self._watch.replay(point)

    @property
    def spike_start_step(self) -> int | None:
        """See `Watch.spike_start_step`."""
        return self._watch.spike_start_step


@dataclass(frozen=True)
class Finding:
    """What audited trials came to.

    Attributes:
        num_audited: That ended and can be judged.
        num_false: Of these, good ones: they would have been pruned wrongly.
    """

    num_audited: int
    num_false: int


def judge(audited: Iterable[tuple[StopReason | None, float | None]], best: float) -> Finding:
    """Judge audited trials by how they ended.

    One that failed or has not ended says nothing; one whose loss became no number was pruned
    rightly.

    Args:
        audited: Stop reason and final validation loss in nats of each.
        best: Lowest validation loss of all completed trials, in nats.
    """
    num_audited = num_false = 0
    for reason, val_loss in audited:
        if reason is StopReason.NON_FINITE:
            num_audited += 1
        elif reason is StopReason.COMPLETED and val_loss is not None:
            num_audited += 1
            num_false += is_good(val_loss, best)
    return Finding(num_audited, num_false)
