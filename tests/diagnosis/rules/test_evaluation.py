from __future__ import annotations

import math

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case
from tests.diagnosis.rules.cases import NAN, answer, case_of, found, recorded_case, spike, told

FLAT = [4.0] * 10
JUMP = [4.0] * 6 + [6.0] + [4.0] * 3


def spiked(train: list[float | None], val: list[float | None], *, recovered: bool = True) -> Case:
    return case_of(train, val_loss=val, findings=[spike(6, recovered=recovered)])


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(FLAT, val_loss=FLAT), "contradicted: No spike"),
        (spiked(FLAT, JUMP), "supported: Training did not rise and validation rose by +2.00"),
        (spiked(FLAT, JUMP), "training did not follow"),
        (spiked(JUMP, JUMP), "supported: Training rose by +2.00 nats"),
        (spiked(JUMP, JUMP, recovered=False), "and they stayed up"),
        (spiked(JUMP, FLAT), "contradicted: The evaluation did not jump"),
        (case_of(JUMP, findings=[spike(6)]), "untestable: Nothing was evaluated at step 6"),
        (case_of(val_loss=JUMP, findings=[spike(6)]), "untestable: Validation jumped, and no"),
    ],
)
def test_eval_fault(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "eval-fault"))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of([3.0, 2.9], val_loss=[3.1, 3.0]), "contradicted: Every validation loss is a"),
        (
            case_of([3.0, 2.9, 2.8], val_loss=[3.1, NAN, NAN]),
            "supported: Validation is no number at 2 of 3 evaluations, first at step 1",
        ),
        (
            case_of([3.0, NAN, NAN], val_loss=[3.1, NAN, NAN]),
            "contradicted: The training loss is no number from step 1 on",
        ),
        (
            case_of([3.0, 2.9, 2.8], val_loss=[3.1, math.inf, 3.0]),
            "supported: Validation is no number at 1 of 3",
        ),
        (case_of(val_loss=[3.1, NAN]), "untestable: No training loss was logged"),
        (case_of([3.0]), "untestable: Missing: validation loss"),
    ],
)
def test_eval_only_nan(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "eval-only-nan"))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            case_of(
                [3.0, 2.0, 1.0],
                val_loss=[3.1, 3.1, 3.1],
                findings=[found(FindingKind.EVAL_NOT_TRACKING, 0, 2)],
            ),
            "supported: A eval_not_tracking.",
        ),
        (case_of([3.0, 2.0], val_loss=[3.1, 3.0]), "contradicted: The evaluations differ: 2 dif"),
        (case_of([3.0, 2.0], val_loss=[3.1, 3.1]), "untestable: All 2 evaluations are 3.1000"),
        (case_of([3.0, 2.0], val_loss=[3.1, None]), "untestable: Fewer than two evaluations"),
        (case_of([3.0, 2.0]), "untestable: Missing: validation loss"),
    ],
)
def test_eval_stale(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "eval-stale"))


def overfitted(percent: float) -> Case:
    return case_of(
        [3.0, 2.0, 1.0, 0.5],
        val_loss=[3.1, 2.5, 2.6, 2.9],
        findings=[found(FindingKind.OVERFIT, 1, 3, gl_percent=percent)],
    )


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (overfitted(16.0), "supported: A overfit."),
        (recorded_case(), "contradicted: Validation lies above training by 0.0323 to 0.1747"),
        (recorded_case(), "stands 0.0 % above the best one, 6.7096 at step 1,000"),
        (
            case_of([3.0, 2.0], val_loss=[2.9, 1.9]),
            "contradicted: Validation lies below training by 0.1000 to 0.1000 nats",
        ),
        (case_of([3.0, 2.0], val_loss=[3.1, None]), "untestable: Fewer than two evaluations"),
        (case_of([3.0, 2.0]), "untestable: Missing: validation loss"),
    ],
)
def test_overfit(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "overfit"))


def test_a_rise_below_prechelts_bound_is_less_sure() -> None:
    assert answer(overfitted(16.0), "overfit").confidence == 0.85
    assert answer(overfitted(3.9), "overfit").confidence == 0.6


@pytest.mark.parametrize(
    ("dropout", "ids"),
    [(None, ["stop-early", "more-dropout"]), (0.1, ["stop-early"])],
)
def test_dropout_is_advised_where_there_is_none(dropout: float | None, ids: list[str]) -> None:
    base = overfitted(16.0)
    config = {} if dropout is None else {"dropout": dropout}
    case = case_of(
        [3.0, 2.0, 1.0, 0.5],
        val_loss=[3.1, 2.5, 2.6, 2.9],
        findings=base.findings,
        config=config,
    )
    cause = answer(case, "overfit")

    assert [advice.id for advice in cause.rule.advise(case, cause.decision)] == ids
