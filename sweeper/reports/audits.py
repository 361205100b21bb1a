"""How often pruning was wrong, in a sentence."""

from __future__ import annotations

from sweeper.curves.finding import StopReason
from sweeper.reports import words
from sweeper.reports.costs import money_words
from sweeper.search.audit import AUDITABLE, GOOD, Finding, judge
from sweeper.search.ledger import Ledger
from sweeper.search.results import StudyResults
from sweeper.statistics import proportion_interval


def audit_sentences(results: StudyResults, ledger: Ledger) -> str:
    """What audited trials came to, in all and by reason; empty where none was audited."""
    num_audited = sum(trial.audit is not None for trial in results.trials)
    if not num_audited:
        return ""
    best = results.best
    if best is None or best.val_loss is None:
        return f"{words.plural(num_audited, 'trial')} audited; nothing to judge by has completed."
    whole = _found(results, best.val_loss, None)
    said = [
        f"Audit: of {words.plural(whole.num_audited, 'trial')} that would have been stopped and "
        f"went on to their end all the same, {whole.num_false} came within {GOOD:.0%} of the best "
        f"loss{_rate(whole)}.",
        _by_reason(results, best.val_loss),
        _undecided(num_audited - whole.num_audited),
        _cost(ledger),
    ]
    return " ".join(filter(None, said))


def _by_reason(results: StudyResults, best: float) -> str:
    """Only where there is more than one."""
    found = [(reason, _found(results, best, reason)) for reason in AUDITABLE]
    told = [
        f"{words.stop_words(reason)} {of.num_false} of {of.num_audited}"
        for reason, of in found
        if of.num_audited
    ]
    return f"By reason: {', '.join(told)}." if len(told) > 1 else ""


def _found(results: StudyResults, best: float, reason: StopReason | None) -> Finding:
    """Of one reason, or of all."""
    return judge(
        (
            (trial.stop_reason, trial.val_loss)
            for trial in results.trials
            if trial.audit is not None and reason in (None, trial.audit.reason)
        ),
        best,
    )


def _rate(found: Finding) -> str:
    if not found.num_audited:
        return ""
    low, high = proportion_interval(found.num_false, found.num_audited)
    rate = found.num_false / found.num_audited
    return f": {rate:.0%} of the stops are wrong (95 % interval {low:.0%} to {high:.0%})"


def _undecided(number: int) -> str:
    if not number:
        return ""
    return f"{words.plural(number, 'audited trial')} failed or did not end yet, and does not count."


def _cost(ledger: Ledger) -> str:
    extra = ledger.audits
    money = f" or {money_words(extra.money, ledger)}" if extra.money is not None else ""
    return (
        f"Going on cost {words.count(extra.tokens)} tokens and {words.duration(extra.seconds)}"
        f"{money}, which is part of what these trials cost."
    )
