from __future__ import annotations

from collections.abc import Sequence

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case, Passage
from tests.diagnosis.rules.cases import (
    NAN,
    answer,
    case_of,
    corpus_of,
    found,
    recorded_case,
    spike,
    told,
)

FALLING = [5.0, 4.5, 4.2, 4.0, 3.9, 3.8, 3.8, 3.8, 3.8, 3.8]


def jumped(at: int = 6, *, by: float = 2.0, length: int = 1) -> list[float | None]:
    return [loss + by if at <= step < at + length else loss for step, loss in enumerate(FALLING)]


def spiked(
    train: Sequence[float | None],
    val: Sequence[float | None] | None = None,
    *,
    recovered: bool = True,
    end: int = 6,
    **others: object,
) -> Case:
    columns = {} if val is None else {"val_loss": val}
    return case_of(
        train,
        findings=[spike(6, end, recovered=recovered)],
        **columns,
        **others,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(FALLING), "contradicted: No spike and no divergence"),
        (spiked(jumped()), "supported: Training rose by +2.00 nats at step 6 alone"),
        (spiked(jumped(), FALLING), "while validation did not rise"),
        (spiked(jumped(), jumped()), "contradicted: Training rose by +2.00 nats to 5.8000 and"),
        (spiked(jumped(length=3), end=8), "contradicted: The loss stood high at 3 logged points"),
        (spiked([*FALLING[:6], 5.8], recovered=False), "untestable: The log ends in the spike"),
        (
            case_of(jumped(), findings=[found(FindingKind.DIVERGENCE, 6, 9, recovered=False)]),
            "contradicted: The loss stayed up",
        ),
        (
            spiked([9.0, *jumped(by=20)[1:]]),
            "contradicted: Training rose to 23.8000, above the 9.0000 of the start",
        ),
        (
            spiked([None] * 10, jumped()),
            "untestable: No training loss was logged at the spike",
        ),
        (
            case_of(jumped(), steps=range(0, 1000, 100), findings=[spike(600)]),
            "100 steps before it were not logged",
        ),
    ],
)
def test_outlier_batch(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "outlier-batch"))


def test_an_untouched_validation_raises_confidence_and_a_coarse_log_lowers_it() -> None:
    coarse = case_of(jumped(), steps=range(0, 1000, 100), findings=[spike(600)])
    cases = (coarse, spiked(jumped()), spiked(jumped(), FALLING))

    assert [answer(case, "outlier-batch").confidence for case in cases] == [0.2, 0.35, 0.55]


def test_the_batch_to_read_is_named_where_the_corpus_is_known() -> None:
    corpus = corpus_of(events={6: (Passage("faq.md:3", 0, 10), Passage("faq.md:4", 10, 10))})
    case = spiked(jumped(), corpus=corpus)
    cause = answer(case, "outlier-batch")

    (advice,) = cause.rule.advise(case, cause.decision)

    assert "Read there: faq.md:3 and faq.md:4." in advice.reason
    assert "step 6" in advice.title


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(FALLING), "contradicted: No spike and no divergence"),
        (recorded_case(), "supported: Training rose by +2.93 nats to 9.5846"),
        (recorded_case(), "came back to 6.6424 within 500 steps"),
        (spiked(jumped(by=0.9), jumped(by=0.9)), "the weights got worse for both, in part"),
        (
            spiked(jumped(), FALLING),
            "contradicted: Training rose by +2.00 nats to 5.8000 and validation did",
        ),
        (spiked(jumped()), "untestable: Both losses are needed at step 6"),
        (
            spiked(jumped(by=50, length=4), end=9, recovered=False),
            "supported: Training rose by +50.00 nats to 53.8000 at step 6 and stood high at 4 "
            "points, above the starting loss 5.0000",
        ),
        (
            spiked(jumped(by=1.0, length=4), end=9, recovered=False),
            "untestable: Both losses are needed at step 6",
        ),
    ],
)
def test_weights_or_eval_state(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "weights-or-eval-state"))


def test_above_the_start_weighs_more_than_below() -> None:
    above = answer(recorded_case(), "weights-or-eval-state").confidence
    below = answer(spiked(jumped(by=0.9), jumped(by=0.9)), "weights-or-eval-state").confidence

    assert above > below


RATES = [1e-3 - 1e-5 * step for step in range(10)]
BROKEN_RATES = RATES[:6] + [1e-4] * 4


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (spiked(jumped()), "contradicted: The log shows no restart"),
        (
            spiked(jumped(), log={"restart_steps": (6,)}),
            "supported: The run was taken up again at step 6, and the loss is +2.00 nats up",
        ),
        (
            case_of(FALLING, log={"restart_steps": (6,)}, learning_rate=RATES),
            "contradicted: Neither loss nor rate jumps at the restart at step 6.",
        ),
        (
            case_of(FALLING, log={"restart_steps": (6,)}, learning_rate=BROKEN_RATES),
            "supported: The rate went from 9.50e-4 to 1.00e-4 at the restart at step 6",
        ),
        (
            case_of([*FALLING[:6], 4.4, 4.2, 4.0, 3.9], log={"restart_steps": (6,)}),
            "supported: The run was taken up again at step 6; the loss went from 3.8000 to 4.4000",
        ),
        (case_of([NAN, NAN], log={"restart_steps": (1,)}), "contradicted: Neither loss nor rate"),
    ],
)
def test_resume_reset(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "resume-reset"))


def test_a_warmup_across_a_restart_is_no_break_of_the_rate() -> None:
    warming = [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4, 8e-4, 9e-4, 1e-3]
    case = case_of(FALLING, log={"restart_steps": (2,)}, learning_rate=warming)

    assert "contradicted" in told(answer(case, "resume-reset"))
