"""The books of a study: what its tokens, seconds and money were spent on, and what was saved.

Every token and second of a worker stands in exactly one line, so the lines add up to the whole:

    a line for each way to end   what its trials were trained on, as their curves have it
    LOST                         trained, lost with an interruption, and trained again
    OVERHEAD                     workers' seconds of set-up, evaluation and waiting; no tokens
    VERIFICATION                 other seeds, whatever became of them

A trial's seconds are those of training alone; trials that a pack trains together share its time by
their tokens. How exact the first three are stands in `training.lost` and `search.timesheets`.

Money follows from `budget.price`. A price per worker-hour is paid for every line's own seconds. A
price per hour is paid for the study's wall clock, for the machine is rented whether it trains or
not; the search's bill is then shared among its lines by their seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sweeper.curves import StopReason
from sweeper.search.results import StudyResults, TrialResult
from sweeper.study import Hyperparameters, StudySpec
from sweeper.study.price import Price

LOST = "trained again after an interruption"
OVERHEAD = "set-up, evaluation, waiting"
VERIFICATION = "other seeds"
AUDITS = "audits"  # no line of its own: part of the lines of how its trials ended
FAILURES = frozenset(
    {StopReason.ERROR, StopReason.OUT_OF_MEMORY, StopReason.TIMEOUT, StopReason.PREEMPTED}
)
PRUNED = (StopReason.SPIKE, StopReason.NON_FINITE, StopReason.PLATEAU, StopReason.PEERS)


@dataclass(frozen=True)
class Line:
    """What one thing has cost.

    Attributes:
        what: A stop reason, `running`, `waiting`, or one of this module's three.
        num_trials: That the line is about.
        tokens: Trained on.
        seconds: Of workers.
        money: In the currency of the price; None without one.
        reason: The stop reason, where it is one.
        num_lent: Trials among them that took the result of an equal one and cost nothing.
    """

    what: str
    num_trials: int = 0
    tokens: int = 0
    seconds: float = 0.0
    money: float | None = None
    reason: StopReason | None = None
    num_lent: int = 0


@dataclass(frozen=True)
class Saving:
    """What trials did not cost because they were ended early, or lent a result.

    Attributes:
        reason: Why they ended early; None for the same experiment as an earlier trial.
        num_trials: These.
        tokens: By which they fell short of a whole trial.
        seconds: That these would have taken at the trial's own speed.
        money: In proportion to the seconds; None without a price.
    """

    reason: StopReason | None
    num_trials: int
    tokens: int
    seconds: float
    money: float | None = None


@dataclass(frozen=True)
class Ledger:
    """All lines, and what was saved.

    Attributes:
        lines: In the order of this module's head, the most frequent way to end first.
        savings: By reason.
        wall_clock_s: Seconds for which the study was at work, verification included.
        price: As the study says.
        audits: Of the lines what audited trials have cost since they would have been stopped.
    """

    lines: tuple[Line, ...]
    savings: tuple[Saving, ...]
    wall_clock_s: float
    price: Price | None
    audits: Line

    @property
    def total(self) -> Line:
        """The whole."""
        return _sum("in all", self.lines)

    @property
    def search(self) -> Line:
        """All but the verification."""
        return _sum("search", (line for line in self.lines if line.what != VERIFICATION))

    @property
    def endings(self) -> tuple[Line, ...]:
        """The search's trials by how they ended, or have not."""
        return tuple(ln for ln in self.lines if ln.what not in (LOST, OVERHEAD, VERIFICATION))

    @property
    def wasted(self) -> Line:
        """Spent on failures: trials that gave no result by no fault of their recipe alone.

        Errors, lack of memory, an end of the wall clock, and what interruptions lost.
        """
        return _sum(
            "failures", (ln for ln in self.lines if ln.reason in FAILURES or ln.what == LOST)
        )

    @property
    def verification(self) -> Line:
        """Spent on other seeds."""
        return _sum(VERIFICATION, (line for line in self.lines if line.what == VERIFICATION))

    def saved(self, *, by_pruning: bool) -> Saving:
        """All that was saved by ending trials early, or else by lending results."""
        those = [s for s in self.savings if (s.reason is not None) == by_pruning]
        return _sum_savings(None, those)


def keep_books(results: StudyResults) -> Ledger:
    """The ledger of a study as it stands."""
    price = results.spec.budget.price_per_hour
    trained = [*_endings(results.trials), _lost(results.trials)]
    rest_s = max(results.worker_s - math.fsum(line.seconds for line in trained), 0.0)
    search = _paid([*trained, Line(OVERHEAD, seconds=rest_s)], price, results.wall_clock_s)
    verification = _verification(results, price)
    looked_s = 0.0 if results.verification is None else results.verification.wall_clock_s
    whole = _sum("search", search)
    return Ledger(
        lines=(*search, *([verification] if verification else [])),
        savings=_savings(results, whole),
        wall_clock_s=results.wall_clock_s + looked_s,
        price=price,
        audits=_audits(results.trials, _rate(whole)),
    )


def _endings(trials: Sequence[TrialResult]) -> list[Line]:
    groups: dict[str, list[TrialResult]] = {}
    for trial in trials:
        groups.setdefault(trial.stop_reason or trial.state, []).append(trial)
    ranked = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [_ending(what, group) for what, group in ranked]


def _ending(what: str, trials: Sequence[TrialResult]) -> Line:
    paid = [trial for trial in trials if trial.same_as is None]
    return Line(
        what=str(what),
        num_trials=len(trials),
        tokens=sum(trial.tokens for trial in paid),
        seconds=math.fsum(trial.seconds for trial in paid),
        reason=trials[0].stop_reason,
        num_lent=len(trials) - len(paid),
    )


def _lost(trials: Sequence[TrialResult]) -> Line:
    return Line(
        what=LOST,
        num_trials=sum(trial.lost.tokens > 0 for trial in trials),
        tokens=sum(trial.lost.tokens for trial in trials),
        seconds=math.fsum(trial.lost.seconds for trial in trials),
    )


def _paid(lines: Sequence[Line], price: Price | None, wall_clock_s: float) -> list[Line]:
    """The search's lines with their money."""
    if price is None:
        return list(lines)
    if price.is_per_worker:
        return [replace(line, money=price.of(line.seconds)) for line in lines]
    whole_s, bill = math.fsum(line.seconds for line in lines), price.of(wall_clock_s)
    if whole_s == 0:  # nothing was trained: the last line is the overhead
        shares = [0.0] * (len(lines) - 1) + [1.0]
    else:
        shares = [line.seconds / whole_s for line in lines]
    return [replace(ln, money=bill * share) for ln, share in zip(lines, shares, strict=True)]


def _verification(results: StudyResults, price: Price | None) -> Line | None:
    found = results.verification
    if found is None:
        return None
    paid_s = found.worker_s if price and price.is_per_worker else found.wall_clock_s
    return Line(
        what=VERIFICATION,
        num_trials=sum(look.num_ended for look in found.looks),
        tokens=found.tokens,
        seconds=found.worker_s,
        money=price.of(paid_s) if price else None,
    )


def _audits(trials: Sequence[TrialResult], rate: float | None) -> Line:
    extra = [t.audit.extra(t.tokens, t.seconds, t.lost) for t in trials if t.audit is not None]
    seconds = math.fsum(since.seconds for since in extra)
    return Line(
        what=AUDITS,
        num_trials=len(extra),
        tokens=sum(since.tokens for since in extra),
        seconds=seconds,
        money=None if rate is None else rate * seconds,
    )


def _rate(search: Line) -> float | None:
    """Money for a worker's second of the search."""
    return search.money / search.seconds if search.money and search.seconds else None


def _savings(results: StudyResults, search: Line) -> tuple[Saving, ...]:
    rate = _rate(search)
    by_reason: dict[StopReason | None, list[Saving]] = {}
    by_number = {trial.number: trial for trial in results.trials}
    for trial in results.trials:
        lender = None if trial.same_as is None else by_number.get(trial.same_as)
        saving = _saving(results.spec, trial, lender)
        if saving is not None:
            money = None if rate is None else rate * saving.seconds
            by_reason.setdefault(saving.reason, []).append(replace(saving, money=money))
    return tuple(_sum_savings(reason, group) for reason, group in by_reason.items())


def _saving(spec: StudySpec, trial: TrialResult, lender: TrialResult | None) -> Saving | None:
    if trial.same_as is not None:
        return Saving(None, 1, lender.tokens, lender.seconds) if lender else None
    if trial.stop_reason not in PRUNED:
        return None
    recipe = Hyperparameters.model_validate(dict(trial.hyperparameters))
    whole = recipe.blocks_within(spec.budget.tokens_per_trial) * recipe.block_size
    tokens = max(whole - trial.tokens, 0)
    speed = trial.tokens_per_s
    return Saving(trial.stop_reason, 1, tokens, tokens / speed if speed else 0.0)


def _sum(what: str, lines: Iterable[Line]) -> Line:
    those = list(lines)
    priced = [line.money for line in those if line.money is not None]
    return Line(
        what=what,
        # What a trial lost stands beside its own line: it is still one trial.
        num_trials=sum(line.num_trials for line in those if line.what != LOST),
        tokens=sum(line.tokens for line in those),
        seconds=math.fsum(line.seconds for line in those),
        money=math.fsum(priced) if priced else None,
        num_lent=sum(line.num_lent for line in those),
    )


def _sum_savings(reason: StopReason | None, savings: Sequence[Saving]) -> Saving:
    priced = [saving.money for saving in savings if saving.money is not None]
    return Saving(
        reason=reason,
        num_trials=sum(saving.num_trials for saving in savings),
        tokens=sum(saving.tokens for saving in savings),
        seconds=math.fsum(saving.seconds for saving in savings),
        money=math.fsum(priced) if priced else None,
    )
