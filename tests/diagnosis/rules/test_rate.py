from __future__ import annotations

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.cause import Verdict
from tests.diagnosis.rules.cases import NAN, answer, case_of, found, plateau, spike, told

LOSSES = [3.0] * 40 + [6.0] + [3.0] * 9
LORA = {"rank": 8, "learning_rate": 2e-4, "schedule": "constant"}
NEVER = found(FindingKind.NEVER_LEARNED, 0, 49)


def spiked(recovered: bool = True, **columns: list[float | None] | dict[str, object]) -> Case:
    end = 40 if recovered else 49
    return case_of(
        LOSSES,
        findings=[spike(40, end, severity=3.0, recovered=recovered)],
        **columns,  # type: ignore[arg-type]
    )


GROWING = [1.0] * 38 + [5.0, 8.0, 9.0] + [1.0] * 9


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(LOSSES), "contradicted: No spike, no divergence and no loss that is no number"),
        (spiked(), "untestable: The rate at step 40 is not known"),
        (spiked(config=LORA), "supported: The rate at step 40 is 2.00e-4, 100 % of its peak."),
        (spiked(config=LORA), "A weak suspect"),
        (spiked(config=LORA | {"learning_rate": 0.05}), "far above the usual 1.00e-4 to 1.00e-3"),
        (spiked(config=LORA | {"learning_rate": 2e-5}), "below the usual 1.00e-4 to 1.00e-3"),
        (spiked(learning_rate=[1.5] * 50), "No rate of Adam is usually so high"),
        (spiked(recovered=False, config=LORA), "did not come back within this log"),
        (spiked(config=LORA, grad_norm=GROWING), "grew from 1 to 9 at step 40"),
        (
            spiked(config=LORA | {"schedule": "cosine", "total_steps": 60}),
            "had been falling for 40 steps",
        ),
        (
            spiked(config=LORA | {"schedule": "cosine", "total_steps": 60}),
            "A rate that is falling is an unlikely moment",
        ),
        (
            case_of(
                [3.0, 0.0, 0.0],
                learning_rate=[1e-7] * 3,
                findings=[found(FindingKind.NON_FINITE, 1, 2, recovered=False)],
            ),
            "contradicted: The rates up to step 1 sum to 1.00e-7",
        ),
        (
            case_of(
                [3.0] * 40 + [9.0] * 10,
                config=LORA,
                findings=[spike(40, 41), plateau(40, 49)],
            ),
            "The loss is flat from step 40 on.",
        ),
    ],
)
def test_lr_too_high(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "lr-too-high"))


def test_a_warmup_is_not_called_a_falling_rate() -> None:
    rising = spiked(learning_rate=[(step + 1) * 1e-5 for step in range(50)])

    assert "rate that is falling" not in told(answer(rising, "lr-too-high"))


def test_signs_add_up_but_never_to_a_proof() -> None:
    confidences = [
        answer(case, "lr-too-high").confidence
        for case in (
            spiked(config=LORA | {"learning_rate": 2e-5}),
            spiked(config=LORA),
            spiked(config=LORA, grad_norm=GROWING),
            spiked(recovered=False, config=LORA | {"learning_rate": 0.05}, grad_norm=GROWING),
        )
    ]

    assert confidences == sorted(set(confidences))
    assert confidences[-1] == 0.6


FLAT = [4.0 + 0.001 * (step % 3) for step in range(50)]
SHALLOW = [4.0 - 0.001 * step for step in range(50)]
STUCK = [plateau(5, 49, level=4.0)]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            case_of(FLAT, findings=STUCK, config=LORA | {"learning_rate": 2e-6}),
            "supported: The peak rate is 2.00e-6",
        ),
        (
            case_of(FLAT, findings=STUCK, config=LORA | {"learning_rate": 2e-6}),
            "50 times below their lower end",
        ),
        (
            case_of(FLAT, findings=STUCK, config=LORA | {"learning_rate": 2e-6}),
            "The rates up to step 49 sum to 9.80e-5",
        ),
        (
            case_of(FLAT, findings=[NEVER], config=LORA | {"learning_rate": 2e-6}),
            "supported: The peak rate",
        ),
        (
            case_of(SHALLOW, config=LORA | {"learning_rate": 2e-6}),
            "The whole log gained 1.2 % of its first loss.",
        ),
        (
            case_of(FLAT, findings=STUCK, learning_rate=[0.0] * 50, config=LORA),
            "supported: The logged rate is 0 at all 50 points.",
        ),
        (case_of(FLAT, findings=STUCK, config=LORA), "contradicted: The peak rate is 2.00e-4"),
        (
            case_of([4.0 - 0.05 * step for step in range(50)], config=LORA),
            "contradicted: No plateau in this log. The loss is falling.",
        ),
        (case_of(FLAT, findings=STUCK, config={"rank": 8}), "untestable: learning_rate is not"),
        (
            case_of(FLAT, findings=STUCK, learning_rate=[2e-6] * 50),
            "untestable: rank is not known",
        ),
        (
            case_of(
                FLAT,
                findings=STUCK,
                learning_rate=[2e-6] * 50,
                config={"trained_parameters": 124_000_000},
            ),
            "the usual ones for what is trained are 1.00e-5 to 1.00e-4",
        ),
    ],
)
def test_lr_too_low(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "lr-too-low"))


def test_the_further_below_the_usual_the_likelier() -> None:
    confidences = [
        answer(
            case_of(FLAT, findings=STUCK, config=LORA | {"learning_rate": rate}), "lr-too-low"
        ).confidence
        for rate in (9e-5, 2e-5, 1e-6)
    ]

    assert confidences == [0.3, 0.4, 0.5]


def test_advice_names_ten_times_the_rate_exactly() -> None:
    case = case_of(FLAT, findings=STUCK, config=LORA | {"learning_rate": 3e-5})
    cause = answer(case, "lr-too-low")

    (advice,) = cause.rule.advise(case, cause.decision)

    assert cause.verdict is Verdict.SUPPORTED
    assert advice.change == {"learning_rate": 3e-4, "schedule": "constant"}


def test_a_rate_of_zero_is_a_fault_to_find_and_no_number_to_raise() -> None:
    case = case_of(FLAT, findings=STUCK, learning_rate=[0.0] * 50, config=LORA)
    cause = answer(case, "lr-too-low")

    (advice,) = cause.rule.advise(case, cause.decision)

    assert (advice.id, advice.urgency, advice.change) == ("check-schedule", 1, {})


def test_a_rate_that_no_study_allows_is_not_advised() -> None:
    case = case_of(
        [3.0, NAN],
        config={"learning_rate": 1e-12, "rank": 8},
        findings=[plateau(0, 1)],
    )
    cause = answer(case, "lr-too-low")
    high = case_of(LOSSES, config=LORA | {"learning_rate": 5e8}, findings=[spike(40, severity=3.0)])
    too_high = answer(high, "lr-too-high")

    assert cause.rule.advise(case, cause.decision)[0].change["learning_rate"] == 1e-11
    assert "lower-rate" not in [a.id for a in too_high.rule.advise(high, too_high.decision)]
