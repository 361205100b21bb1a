"""From a case to a diagnosis: every section, each by its own module."""

from __future__ import annotations

from sweeper.diagnosis.case import Case
from sweeper.diagnosis.cause import Cause, Verdict
from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.diagnosis.gap import gap_rows, read_gap, thin_rows
from sweeper.diagnosis.keeping import judge_checkpoints
from sweeper.diagnosis.last_good import find_last_good
from sweeper.diagnosis.next_run import propose_test
from sweeper.diagnosis.recommendations import recommend
from sweeper.diagnosis.settings import settings_at_events
from sweeper.diagnosis.speed import speed_segments
from sweeper.diagnosis.spikes import analyse_spikes
from sweeper.diagnosis.stuck import explain_stall
from sweeper.diagnosis.summary import summarise
from sweeper.diagnosis.timeline import build_timeline

_ORDER = (Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.UNTESTABLE)


def diagnose(
    case: Case, causes: tuple[Cause, ...] | None = None, *, command: str | None = None
) -> Diagnosis:
    """Everything that can be said about one log.

    Args:
        case: The log, its findings, and what else is known.
        causes: Answers of the rules; None: ask them.
        command: How the user starts a run, for the test to run next.
    """
    if causes is None:
        from sweeper.diagnosis.rules import judge

        causes = judge(case)
    causes = tuple(sorted(causes, key=lambda c: (_ORDER.index(c.verdict), -c.confidence)))
    gap = gap_rows(case)
    recommendations = recommend(case, causes)
    last_good = find_last_good(case)
    return Diagnosis(
        case=case,
        summary=summarise(case, causes, recommendations),
        timeline=build_timeline(case),
        spikes=analyse_spikes(case),
        settings=settings_at_events(case),
        speed=speed_segments(case),
        gap=thin_rows(gap),
        gap_reading=read_gap(case, gap),
        causes=causes,
        stuck=explain_stall(case, causes),
        recommendations=recommendations,
        test=propose_test(case, recommendations, command),
        last_good_step=last_good.step,
        last_good_reason=last_good.reason,
        checkpoints=judge_checkpoints(case, last_good),
    )
