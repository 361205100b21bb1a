"""How a run ended, whatever trained it."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.curves import Curve, Stop


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        stop: Why; `PREEMPTED` means that it can be resumed.
        curve: All its points; a command that failed at once has none.
        micro_batch: Blocks per forward pass at the end.
        notes: What the run adapted to, in words (a halved micro-batch, a damaged checkpoint).
    """

    stop: Stop
    curve: Curve
    micro_batch: int
    notes: tuple[str, ...]
