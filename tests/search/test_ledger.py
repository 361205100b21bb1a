"""The books of studies that nobody trained."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.curves import StopReason
from sweeper.search.audit import Audit
from sweeper.search.ledger import LOST, OVERHEAD, VERIFICATION, keep_books
from sweeper.search.results import StudyResults, TrialResult
from sweeper.search.store import StudyStore
from sweeper.search.verifying.looks import Look
from sweeper.search.verifying.verdicts import Verification
from sweeper.search.verifying.verification import Plan
from sweeper.search.workers.timesheets import Timesheet, worker_seconds
from sweeper.training.lost import Lost
from tests.search.fakes import TOKENS_PER_TRIAL, spec_at

pytestmark = pytest.mark.usefixtures("stored_in_memory")

RECIPE = {"block_size": 32, "batch_size": 8}
WHOLE = TOKENS_PER_TRIAL // 32 * 32


def trial(
    number: int,
    reason: StopReason | None = StopReason.COMPLETED,
    tokens: int = WHOLE,
    *,
    same_as: int | None = None,
    lost: int = 0,
) -> TrialResult:
    """A trial at a thousand tokens a second."""
    return TrialResult(
        number=number,
        state="running" if reason is None else "ended",
        stop_reason=reason,
        evidence="",
        is_baseline=number == 0,
        hypothesis=None,
        hyperparameters=RECIPE,
        val_loss=5.0,
        tokens=tokens,
        seconds=tokens / 1000,
        folder=Path("trials"),
        same_as=same_as,
        lost=Lost(lost, lost / 1000),
    )


def study(*trials: TrialResult, price: str | None = None, looked: bool = False) -> StudyResults:
    """A study of two workers for thirty seconds, and perhaps a look of twenty."""
    plan = Plan((5,), 0.05, tuple(range(5)), (), 0)
    look = Look(0, (), 5, 5, {}, 5 * WHOLE, 20.0, 35.0)
    return StudyResults(
        spec=spec_at(Path("here"), budget={"price": price}),
        folder=Path("here"),
        trials=trials,
        verification=Verification(plan, (look,), ()) if looked else None,
        wall_clock_s=30.0,
        worker_s=58.0,
    )


MIXED = (
    trial(0),
    trial(1, StopReason.PLATEAU, 1_000),
    trial(2, StopReason.PLATEAU, 2_000, lost=500),
    trial(3, StopReason.ERROR, 800),
    trial(4, same_as=0),
    trial(5, None, 300, lost=100),
)


def test_every_token_has_one_line() -> None:
    ledger = keep_books(study(*MIXED, looked=True))

    assert [(line.what, line.num_trials, line.tokens) for line in ledger.lines] == [
        ("completed", 2, WHOLE),
        ("plateau", 2, 3_000),
        ("error", 1, 800),
        ("running", 1, 300),
        (LOST, 2, 600),
        (OVERHEAD, 0, 0),
        (VERIFICATION, 5, 5 * WHOLE),
    ]
    assert ledger.total.tokens == 6 * WHOLE + 4_700
    assert ledger.total.num_trials == len(MIXED) + 5
    assert ledger.total.seconds == pytest.approx(58 + 35)
    assert ledger.search.seconds == pytest.approx(58)
    assert ledger.wall_clock_s == 50
    assert (ledger.wasted.tokens, ledger.verification.tokens) == (1_400, 5 * WHOLE)
    assert ledger.total.money is None


def test_what_was_not_trained_is_saved() -> None:
    ledger = keep_books(study(*MIXED))

    pruned, lent = ledger.saved(by_pruning=True), ledger.saved(by_pruning=False)
    assert (pruned.num_trials, pruned.tokens) == (2, 2 * WHOLE - 3_000)
    assert pruned.seconds == pytest.approx(pruned.tokens / 1000)
    assert (lent.num_trials, lent.tokens) == (1, WHOLE)


def test_a_price_per_hour_is_paid_for_the_clock_and_one_per_worker_for_their_time() -> None:
    clock = keep_books(study(*MIXED, price="3600 USD/hour", looked=True))
    workers = keep_books(study(*MIXED, price="3600 USD/worker-hour", looked=True))

    assert clock.total.money == pytest.approx(30 + 20)
    assert clock.verification.money == pytest.approx(20)
    assert workers.total.money == pytest.approx(58 + 35)
    plateau = next(line for line in clock.lines if line.what == "plateau")
    assert plateau.money == pytest.approx(30 * plateau.seconds / 58)
    saved = clock.saved(by_pruning=True)
    assert saved.money == pytest.approx(30 * saved.seconds / 58)


def test_audits_are_part_of_the_lines_and_cost_what_came_after_the_stop() -> None:
    audit = Audit(StopReason.PEERS, 1_000, "", seconds=1.0, lost=Lost(200, 0.2))
    gone_on = replace(trial(1, lost=500), audit=audit)
    ledger = keep_books(study(trial(0), gone_on, price="3600 USD/worker-hour"))
    extra = WHOLE - 1_000 + 500 - 200
    assert (ledger.audits.num_trials, ledger.audits.tokens) == (1, extra)
    assert ledger.audits.seconds == pytest.approx(extra / 1000)
    assert ledger.audits.money == pytest.approx(extra / 1000)
    assert ledger.total.tokens == 2 * WHOLE + 500, "no line of its own"
    assert keep_books(study(*MIXED)).audits.num_trials == 0


def test_a_study_that_has_trained_nothing_still_paid_for_the_clock() -> None:
    results = study(price="3600 USD/hour")
    ledger = keep_books(results)
    assert ledger.total.money == pytest.approx(results.wall_clock_s)
    assert ledger.savings == ()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*StopReason, None]),
            st.integers(0, WHOLE),
            st.integers(0, 10_000),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.sampled_from([None, "2 USD/hour", "2 USD/h", "0.5 EUR/worker-hour"]),
    st.booleans(),
)
def test_the_lines_add_up_to_what_was_trained(
    trials: list[tuple[StopReason | None, int, int, bool]], price: str | None, looked: bool
) -> None:
    made = [
        trial(n, reason, tokens, lost=lost, same_as=0 if lent and n else None)
        for n, (reason, tokens, lost, lent) in enumerate(trials)
    ]
    results = study(*made, price=price, looked=looked)
    ledger = keep_books(results)

    paid = sum(t.tokens for t in made if t.same_as is None) + sum(t.lost.tokens for t in made)
    assert ledger.total.tokens == paid + looked * 5 * WHOLE
    assert ledger.total.tokens == sum(line.tokens for line in ledger.lines)
    trained_s = sum(t.seconds for t in made if t.same_as is None)
    trained_s += sum(t.lost.seconds for t in made)
    assert ledger.search.seconds == pytest.approx(max(results.worker_s, trained_s))
    assert sum(line.num_trials for line in ledger.endings) == len(made)
    if ledger.price is not None:
        hours = ledger.total.seconds if ledger.price.is_per_worker else ledger.wall_clock_s
        assert ledger.total.money == pytest.approx(ledger.price.of(hours))
        assert ledger.total.money == pytest.approx(
            math.fsum(line.money or 0.0 for line in ledger.lines)
        )


def test_time_at_work_is_that_of_all_workers(tmp_path: Path) -> None:
    store = StudyStore(spec_at(tmp_path), create=True)
    assert worker_seconds(store.spec) == 0
    for owner in ("one", "other"):
        with Timesheet(store.spec, owner):
            pass
    sheets = sorted((store.spec.output_folder / "timesheets").iterdir())
    assert len(sheets) == 2
    for sheet, seconds in zip(sheets, (1.5, 2.0), strict=True):
        sheet.write_text(f"{seconds}\n")
    assert worker_seconds(store.spec) == 3.5
