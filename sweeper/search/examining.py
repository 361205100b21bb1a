"""Which of a study's spikes are examined, and by which rule they were found."""

from __future__ import annotations

from sweeper.curves import StopReason
from sweeper.curves.spike import SpikeSettings
from sweeper.errors import UsageError
from sweeper.search.results import StudyResults, TrialResult, find_trial
from sweeper.training.examination import Examination
from sweeper.training.trainer import Report


def spiked_trials(results: StudyResults) -> list[TrialResult]:
    """Trials that a spike ended, in the order of their numbers."""
    return [trial for trial in results.trials if trial.stop_reason is StopReason.SPIKE]


def examine_trial(results: StudyResults, number: int | None, report: Report) -> Examination:
    """Find out by experiment what a trial's spike is due to.

    Args:
        results: The study.
        number: The trial's; None for the first that a spike ended.
        report: Told how far it is.

    Raises:
        UsageError: There is no such trial, or no spike in it.
        SweeperError: See `examine_spike`.
    """
    if number is None:
        spiked = spiked_trials(results)
        if not spiked:
            raise UsageError(
                f"no trial of {results.spec.name} was ended by a spike; name one with --trial"
            )
        number = spiked[0].number
    from sweeper.training.spike_replay import examine_spike  # torch takes seconds

    trial = find_trial(results, number)
    rule = results.spec.prune.spike
    try:
        return examine_spike(
            trial.folder,
            sigmas=SpikeSettings().sigmas if rule is None else rule.threshold,
            report=report,
        )
    except UsageError as error:
        raise UsageError(f"trial {trial.number}: {error}") from error
