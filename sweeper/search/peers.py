"""What a trial may know of the others: read from the study's storage, running ones included."""

from __future__ import annotations

from sweeper.search.claim import Claim
from sweeper.search.monitor import Peers
from sweeper.search.store import StudyStore


def peers_of(store: StudyStore, claim: Claim) -> Peers:
    """The other trials of a study, as they stand whenever they are asked for."""

    def values() -> list[dict[int, float]]:
        return [
            trial.intermediate_values for trial in store.trials() if trial.number != claim.number
        ]

    def best() -> float | None:
        return min((v for curve in values() for v in curve.values()), default=None)

    def at_rung(tokens: int) -> list[float]:
        """Each peer's newest loss at or below so many tokens, if it came that far."""
        rung = store.spec.evaluate.every_tokens
        reached = [c for c in values() if c and max(c) // rung >= tokens // rung]
        return [c[max(t for t in c if t // rung <= tokens // rung)] for c in reached]

    return Peers(best, at_rung)
