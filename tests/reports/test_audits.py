"""What is said of audited trials."""

from __future__ import annotations

from dataclasses import replace

from sweeper.curves import StopReason
from sweeper.reports.audits import audit_sentences
from sweeper.search.audit import Audit
from sweeper.search.ledger import keep_books
from sweeper.search.results import StudyResults


def test_nothing_is_said_where_nothing_was_audited(results: StudyResults) -> None:
    assert audit_sentences(results, keep_books(results)) == ""


def test_rate_interval_reasons_and_cost_are_told(results: StudyResults) -> None:
    assert results.best is not None
    reasons = {
        results.best.number: StopReason.PEERS,
        4: StopReason.PEERS,
        5: StopReason.SPIKE,
        18: StopReason.PLATEAU,
    }
    trials = tuple(
        replace(t, audit=Audit(reasons[t.number], 40_000, "", t.seconds - 2.5))
        if t.number in reasons
        else t
        for t in results.trials
    )
    audited = replace(results, trials=trials)
    assert audit_sentences(audited, keep_books(audited)) == (
        "Audit: of 3 trials that would have been stopped and went on to their end all the same, 1 "
        "came within 1% of the best loss: 33% of the stops are wrong (95 % interval 1% to 91%). By "
        "reason: spike 0 of 1, peers 1 of 2. 1 audited trial failed or did not end yet, and does "
        "not count. Going on cost 1.08M tokens and 10.0 s, which is part of what these trials cost."
    )
