"""A bank's runs as the results that Syne Tune's simulator reads, and the book of a study there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sweeper.curves import StopReason
from sweeper.search.replay.bank import Run
from sweeper.search.replay.simulation import Ended
from sweeper.study import Rungs

RESOURCE, METRIC, ELAPSED, SEEN = "tokens", "val_loss", "elapsed_s", "tokens_seen"
# Syne Tune adds the time that its own decisions take to the simulated one; beside a thousandfold
# second of training it is nothing.
SLOWER = 1_000.0


def results_of(run: Run, rungs: Rungs, tokens_per_trial: int) -> list[dict[str, float]]:
    """What a trial reports on its way, one dictionary for each evaluation after the base's own.

    Losses that are no numbers are left out.

    Returns:
        `tokens` is the nearest rung, since Syne Tune compares what was reported at one and the
        same resource; `tokens_seen` what was really trained; `elapsed_s` in thousandths of a
        second since the trial began; `val_loss` in nats.
    """
    marks = rungs.within(tokens_per_trial)
    return [
        {
            RESOURCE: min(marks, key=lambda mark: abs(mark - point.tokens)),
            METRIC: point.val_loss,
            ELAPSED: SLOWER * (point.seconds or 0.0),
            SEEN: point.tokens,
        }
        for point in run.curve.points[1:]
        if point.val_loss is not None and math.isfinite(point.val_loss)
    ]


@dataclass
class Book:
    """What a study's trials have cost, and how they ended.

    Attributes:
        tokens: That all trials together may spend.
        tokens_per_trial: Of a whole one.
    """

    tokens: int
    tokens_per_trial: int
    _ended: dict[int, Ended] = field(default_factory=dict)
    _spent: int = 0

    @property
    def ended(self) -> tuple[Ended, ...]:
        """In the order of their ends."""
        return tuple(self._ended.values())

    def may_begin(self, num_running: int) -> bool:
        """Whether a whole trial can be paid beside those that run; the live study's rule."""
        return self._spent + (num_running + 1) * self.tokens_per_trial <= self.tokens

    def close(self, trial_id: int, run: Run, tokens_seen: int) -> None:
        """A trial has ended, by itself or by a rule; Syne Tune says both of some, the rule first.

        Args:
            trial_id: Syne Tune's number.
            run: The recorded run that it took.
            tokens_seen: How far.
        """
        if trial_id in self._ended:
            return
        self._spent += tokens_seen
        reason = _reason(run, tokens_seen)
        self._ended[trial_id] = Ended(self._spent, tokens_seen, reason, run.final_val_loss)


def _reason(run: Run, tokens_seen: int) -> StopReason:
    if tokens_seen < run.curve.points[-1].tokens:
        return StopReason.PEERS
    return StopReason.COMPLETED if math.isfinite(run.final_val_loss) else StopReason.NON_FINITE
