"""Makes a bank of the runs of a study."""

from __future__ import annotations

from sweeper.curves import StopReason
from sweeper.errors import UsageError
from sweeper.search.replay.bank import Bank, Run
from sweeper.search.results import StudyResults
from sweeper.study import Hyperparameters

_WHOLE = (StopReason.COMPLETED, StopReason.NON_FINITE)


def bank_of(results: StudyResults) -> Bank:
    """All runs of a study that were trained to their end, each experiment once.

    Raises:
        UsageError: There is none, or the study prunes.
    """
    spec = results.spec
    if any((spec.prune.spike, spec.prune.plateau, spec.prune.peers != "off")):
        raise UsageError(
            f"{spec.path.name}: a bank holds whole runs (allowed: prune: {{spike: off, plateau: "
            "off, peers: off})"
        )
    runs = [
        Run(Hyperparameters.model_validate(dict(trial.hyperparameters)), trial.curve)
        for trial in results.trials
        if trial.stop_reason in _WHOLE and trial.same_as is None and len(trial.curve) > 1
    ]
    if not runs:
        raise UsageError(f"{spec.name} has no run that came to its end. Next: sweeper run")
    return Bank(
        spec.budget.tokens_per_trial,
        spec.evaluate.rungs,
        (spec.name, spec.digest),
        tuple(runs),
    )
