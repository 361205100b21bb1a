"""Whether a trial is worth its tokens, as the study's other trials see it.

Both rules look at validation losses at equal tokens, running trials included. Halving knows only
who came to a rung before; lag looks back once, so that its answer hangs less on that order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sweeper.curves import Stop, StopReason

ASHA_REDUCTION = 3
# What a trial may still make up of the leader's gain, for every stretch as long as the one behind.
CATCH_UP = 0.05
# Losses nearer than this share of each other are told apart by their noise.
LOSS_NOISE = 0.005


@dataclass(frozen=True)
class Peers:
    """What a trial may know of the others, running ones included.

    Attributes:
        best_val_loss: Lowest validation loss that any other trial has reached.
        at_rung: Validation losses of the others at the rung nearest below so
            many tokens.
        pace_at: Lowest of these among the best of the completed trials and those that are still
            running: what has failed or was ended sets no pace.
    """

    best_val_loss: Callable[[], float | None]
    at_rung: Callable[[int], Sequence[float]]
    pace_at: Callable[[int], float | None]


@dataclass(frozen=True)
class Passage:
    """A trial that comes to a rung.

    Attributes:
        tokens: Seen so far, more than 0.
        total_tokens: Of its whole run, no fewer.
        rung: Number of the rung, from 1.
        val_loss: There, in nats.
        start_loss: The base's own, in nats.
        decay_left: What the rate has still to lose, as a share of its peak.
    """

    tokens: int
    total_tokens: int
    rung: int
    val_loss: float
    start_loss: float
    decay_left: float


def judge_by_lag(passages: Sequence[Passage], peers: Peers) -> Stop | None:
    """A trial is ended at any rung where it lies too far behind the pace of the others.

    The pace is that of the best completed trial, and of any that runs and is better. Behind it, a
    trial may lie by the noise of the loss and by what it can still make up: `CATCH_UP` of what the
    leader has gained since the start, times the tokens that are left over those that are spent,
    and up to twice that for a rate that has still to fall, since such runs improve late. Whoever
    leads is never ended. Who came to a rung before the leader did is judged there once more at the
    next, so that the order of arrival saves it for one rung at most.

    This is a race in the sense of Maron & Moore (1994, "Hoeffding races"), with a margin that
    shrinks by tokens; its constants were chosen on recorded curves.

    Args:
        passages: The trial at its rungs so far, the newest last.
        peers: The others.
    """
    return _lag_at(passages[-1], peers) or (
        _lag_at(passages[-2], peers) if len(passages) > 1 else None
    )


def _lag_at(at: Passage, peers: Peers) -> Stop | None:
    pace = peers.pace_at(at.tokens)
    if pace is None:
        return None
    to_come = (at.total_tokens - at.tokens) / at.tokens
    made_up = CATCH_UP * to_come * max(at.start_loss - pace, 0.0) * (1 + at.decay_left)
    lag = at.val_loss - pace
    if lag <= LOSS_NOISE * pace + made_up:
        return None
    return Stop(
        StopReason.PEERS,
        f"val loss {at.val_loss:.4f} at {at.tokens:,} tokens, {lag:.2f} nats behind the pace of "
        f"{pace:.4f} that leads there, of which it could make up {made_up:.2f}",
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
    while number % base == 0:
        number //= base
    return number == 1
