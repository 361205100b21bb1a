"""What Syne Tune's simulator is given of a run, and how its studies are booked; without it."""

from __future__ import annotations

import math
from dataclasses import replace

from sweeper.curves import Curve, StopReason
from sweeper.search.replay.bank import Run
from sweeper.study import Hyperparameters, Rungs
from tests.benchmarks.syne_table import Book, results_of
from tests.search.replay.banks import RUNGS, TOKENS, curve_of


def new_run() -> Run:
    recipe = Hyperparameters.model_validate({"block_size": 16, "batch_size": 4, "seed": 0})
    return Run(recipe, curve_of(recipe))


def with_last_loss(run: Run, loss: float) -> Run:
    *points, last = run.curve.points
    return Run(run.hyperparameters, Curve((*points, replace(last, val_loss=loss))))


def test_every_evaluation_but_the_base_s_is_a_result_at_its_rung() -> None:
    run = new_run()
    rungs = RUNGS
    results = results_of(run, rungs, TOKENS)
    evaluated = [point for point in run.curve.points[1:] if point.val_loss is not None]
    assert [result["tokens_seen"] for result in results] == [point.tokens for point in evaluated]
    assert [result["val_loss"] for result in results] == [point.val_loss for point in evaluated]
    assert {result["tokens"] for result in results} <= set(rungs.within(TOKENS))
    assert results[-1]["tokens"] == TOKENS
    assert [result["elapsed_s"] for result in results] == [point.tokens for point in evaluated], (
        "a token takes a thousandth of a second here"
    )


def test_loss_that_is_no_number_is_no_result() -> None:
    run = new_run()
    whole, broken = (
        results_of(r, Rungs(RUNGS.every_tokens), TOKENS)
        for r in (run, with_last_loss(run, math.nan))
    )
    assert broken == whole[:-1]


def test_book_knows_why_trials_ended_and_what_is_left() -> None:
    run, book = new_run(), Book(tokens=3 * TOKENS, tokens_per_trial=TOKENS)
    assert [book.may_begin(num) for num in range(4)] == [True, True, True, False]
    book.close(0, run, TOKENS // 2)
    book.close(1, run, TOKENS)
    book.close(1, run, TOKENS)
    assert [book.may_begin(num) for num in range(2)] == [True, False]
    book.close(2, with_last_loss(run, math.inf), TOKENS)
    assert [trial.reason for trial in book.ended] == [
        StopReason.PEERS,
        StopReason.COMPLETED,
        StopReason.NON_FINITE,
    ]
    assert [trial.study_tokens for trial in book.ended] == [
        TOKENS // 2,
        3 * TOKENS // 2,
        5 * TOKENS // 2,
    ]
