"""Whether those who train are still at it: no step for far longer than usual means that they hang.

What is usual is learned from the trials themselves. An evaluation takes longer than a step, so
none is missed where one is due; set-up, the first step and the first evaluation have nothing to be
held against but a long while.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass

from sweeper.study import HangRule

FIRST_SECONDS = 1800.0  # for what nothing is known of
_LONGEST_FACTOR = 3.0  # times the longest silence that ended well
_REMEMBERED = 200
_MOST_TICK_SECONDS = 1.0  # longer ones are our own sleep: a suspended machine, a slow storage


@dataclass
class _Trial:
    """A trial in training.

    Attributes:
        shown_at: Seconds at which it last came by; None: not yet.
        is_rung_next: Whether it is evaluated after its next step.
    """

    shown_at: float | None = None
    is_rung_next: bool = True


class Pulse:
    """Judges a silence.

    Args:
        rule: How long is too long.
    """

    def __init__(self, rule: HangRule) -> None:
        self._rule = rule
        self._trials: dict[int, _Trial] = {}
        self._steps_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._longest_s = 0.0
        self._knows_evaluations = False
        self._silence_s = 0.0
        self._has_begun = False

    def begin(self, number: int) -> None:
        """A trial is given to those who train."""
        self._has_begun = True
        self._trials[number] = _Trial()
        self._silence_s = 0.0

    def beat(self, number: int, now: float, *, is_rung_next: bool) -> None:
        """A trial has shown a point.

        Args:
            number: The trial's.
            now: Seconds of a clock that never goes back.
            is_rung_next: Whether its next step is followed by an evaluation.
        """
        trial = self._trials[number]
        if trial.shown_at is not None:
            took_s = now - trial.shown_at
            self._longest_s = max(self._longest_s, took_s)
            if trial.is_rung_next:
                self._knows_evaluations = True
            else:
                self._steps_s.append(took_s)
        trial.shown_at, trial.is_rung_next = now, is_rung_next
        self._silence_s = 0.0

    def end(self, number: int) -> None:
        """A trial is no longer in training."""
        self._trials.pop(number, None)
        self._silence_s = 0.0

    def tick(self, seconds: float) -> None:
        """So long nothing was heard of those who train."""
        self._silence_s += min(seconds, _MOST_TICK_SECONDS)

    @property
    def limit_s(self) -> float:
        """Seconds of silence that are too long now."""
        least_s = max(self._rule.at_least_s, _LONGEST_FACTOR * self._longest_s)
        if self._waits_for_something_new or not self._steps_s:
            return max(least_s, FIRST_SECONDS)
        return max(least_s, self._rule.factor * statistics.median(self._steps_s))

    @property
    def _waits_for_something_new(self) -> bool:
        return any(
            trial.shown_at is None or (trial.is_rung_next and not self._knows_evaluations)
            for trial in self._trials.values()
        )

    def hang(self) -> str | None:
        """What is wrong, in words; None where nothing is.

        Before the first trial nothing is: a large corpus takes its time. After the last, those who
        train are about to ask for another one, or to leave.
        """
        if not self._has_begun or self._silence_s <= self.limit_s:
            return None
        usual = f", usually {statistics.median(self._steps_s):.2g} s" if self._steps_s else ""
        return f"it hung: no step for {self._silence_s:.0f} s{usual}, and was killed (workers.hang)"
