"""Whether a trial is worth its tokens, as the study's other trials see it.

Both rules look at validation losses at equal tokens, running trials included. Halving knows only
who came to a rung before; lag knows the whole way of those that lead, so that the order in which
trials arrive does not matter to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sweeper.curves import Stop, StopReason
from sweeper.search.pace import Pace

Warmup = int | float

ASHA_REDUCTION = 3
# How much faster than so far a trial may still go the leaders' way.
CATCH_UP = 1.25
# Ends nearer than this share of each other are told apart by their noise.
END_NOISE = 0.002
# Of losses on the same tokens on the way, where most of the noise is common to all trials.
WAY_NOISE = 0.001


@dataclass(frozen=True)
class Peers:
    """What a trial may know of the others, running ones included.

    Attributes:
        best_val_loss: Lowest validation loss that any other trial has reached.
        at_rung: Validation losses of the others at the rung nearest below so
            many tokens.
        leaders: Curves, of tokens and validation losses, of the best of the completed trials and
            of those that are still running: what has failed or was ended leads nobody. With a
            warmup given, only of trials that warm up likewise.
    """

    best_val_loss: Callable[[], float | None]
    at_rung: Callable[[int], Sequence[float]]
    leaders: Callable[[Warmup | None], Sequence[Sequence[tuple[int, float]]]]


@dataclass(frozen=True)
class Passage:
    """A trial that comes to a rung.

    Attributes:
        tokens: Seen so far, more than 0.
        total_tokens: Of its whole run, no fewer.
        rung: Number of the rung, from 1.
        val_loss: There, in nats.
        start_loss: The base's own, in nats.
        warmup: Of its recipe while its rate is warming up; None after that.
    """

    tokens: int
    total_tokens: int
    rung: int
    val_loss: float
    start_loss: float
    warmup: Warmup | None = None


def judge_by_lag(passages: Sequence[Passage], peers: Peers) -> Stop | None:
    """A trial is ended at any rung where it has fallen too far behind the pace of a leader.

    Recipes of one study differ mostly in how soon they come to a loss, not in the way there. So a
    trial that took r times the tokens of a leader to come to its lowest loss is taken to go on
    along the leader's curve r times as slowly, or, to be fair to late improvement, `CATCH_UP` times
    faster than that; where even so its end lies further above what the leader has reached than the
    noise, it is ended. A leader that still runs is known up to where it is, and nobody has to do
    better than that. Each leads by itself, since the quickest at first need not end lowest, and
    from its own first rung on: one whose steps are wide says nothing about what is before.
    Whoever leads is never ended.

    Freeze-thaw methods (Swersky et al. 2014, arXiv:1406.3896) fit such curves by a model; this
    takes the form of the curve from the leaders. Its margins were chosen on recorded runs.

    Args:
        passages: The trial at its rungs so far, the newest last.
        peers: The others.
    """
    at = passages[-1]
    lowest = min(at.start_loss, *(passage.val_loss for passage in passages))
    for curve in peers.leaders(at.warmup):
        pace = Pace.of(at.start_loss, curve)
        if pace is not None and (evidence := _lag_behind(pace, at, lowest)):
            return Stop(StopReason.PEERS, evidence)
    return None


def _lag_behind(pace: Pace, at: Passage, lowest: float) -> str | None:
    """In words; None where a trial of so low a loss may still come to where a leader is."""
    if at.tokens < pace.first_tokens:
        return None
    gain = at.start_loss - lowest + WAY_NOISE * lowest
    if gain >= pace.gain or (place := pace.tokens_to(gain)) >= at.tokens:
        return None
    to_come = (at.total_tokens - at.tokens) * place / at.tokens
    end_gain = pace.gain_at(place + CATCH_UP * to_come)
    leading = at.start_loss - pace.gain
    if pace.gain - end_gain <= END_NOISE * leading:
        return None
    return (
        f"val loss {lowest:.4f} after {at.tokens:,} tokens, which took a leader {place:,.0f}; "
        f"{CATCH_UP:g} times as fast from here it would end at {at.start_loss - end_gain:.4f}, "
        f"above the {leading:.4f} that the leader has reached"
    )


def judge_by_halving(passages: Sequence[Passage], peers: Peers) -> Stop | None:
    """Asynchronous successive halving (Li et al. 2018, arXiv:1810.05934), stopping form.

    At rungs a factor of three apart, a trial goes on if it is in the best
    third of all that have passed the rung, running ones included.

    Args:
        passages: The trial at its rungs so far, the newest last.
        peers: The others.
    """
    at = passages[-1]
    if not _is_power(at.rung, ASHA_REDUCTION):
        return None
    others = peers.at_rung(at.tokens)
    if len(others) + 1 < ASHA_REDUCTION:
        return None
    better = sum(other < at.val_loss for other in others)
    if better < (len(others) + 1) / ASHA_REDUCTION:
        return None
    return Stop(
        StopReason.PEERS,
        f"val loss {at.val_loss:.4f} at {at.tokens:,} tokens: {better} of {len(others)} "
        f"others were better there",
    )


PEER_RULES: dict[str, Callable[[Sequence[Passage], Peers], Stop | None]] = {
    "lag": judge_by_lag,
    "asha": judge_by_halving,
}


def _is_power(number: int, base: int) -> bool:
    while number and number % base == 0:
        number //= base
    return number == 1
