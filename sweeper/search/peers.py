"""What a trial may know of the others: read from the study's storage, running ones included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optuna.trial import FrozenTrial, TrialState

from sweeper.search import attributes as attrs
from sweeper.search.claim import Claim
from sweeper.search.peer_rules import Peers, Warmup
from sweeper.search.store import StudyStore
from sweeper.study import Rungs


def peers_of(store: StudyStore, claim: Claim) -> Peers:
    """The other trials of a study, as they stand whenever they are asked for."""

    def others() -> list[FrozenTrial]:
        return [trial for trial in store.trials() if trial.number != claim.number]

    def best() -> float | None:
        losses = (v for trial in others() for v in trial.intermediate_values.values())
        return min(losses, default=None)

    def at_rung(tokens: int) -> list[float]:
        return _reached(others(), tokens, rungs)

    def leaders(warmup: Warmup | None) -> list[list[tuple[int, float]]]:
        curves = (t.intermediate_values for t in _leaders(others()) if _warms_up(t, warmup))
        return [list(curve.items()) for curve in curves if curve]

    rungs = store.spec.evaluate.rungs
    return Peers(best, at_rung, leaders)


def _leaders(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The best of those that completed, and all that run."""
    completed = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = min(completed, key=lambda trial: (trial.value, trial.number), default=None)
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    return running if best is None else [best, *running]


def _warms_up(trial: FrozenTrial, warmup: Warmup | None) -> bool:
    recipe = trial.user_attrs.get(attrs.HYPERPARAMETERS) or {}
    return warmup is None or recipe.get("warmup") == warmup


def _reached(trials: Iterable[FrozenTrial], tokens: int, rungs: Rungs) -> list[float]:
    """Of each trial that came to the rung at so many tokens, the newest loss up to there."""
    rung = rungs.passed(tokens)
    curves = [trial.intermediate_values for trial in trials if trial.intermediate_values]
    reached = [curve for curve in curves if rungs.passed(max(curve)) >= rung]
    return [curve[max(t for t in curve if rungs.passed(t) <= rung)] for curve in reached]
