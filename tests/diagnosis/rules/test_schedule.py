from __future__ import annotations

import pytest

from sweeper.diagnosis.case import Case
from tests.diagnosis.rules.cases import RECORDED_CONFIG, answer, case_of, plateau, spike, told

WARM = {"learning_rate": 1e-3, "schedule": "linear", "total_steps": 100}
LOSSES = [3.0] * 100


def spiked(at: int, config: dict[str, object], **columns: list[float | None]) -> Case:
    return case_of(LOSSES, findings=[spike(at)], config=config, **columns)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(LOSSES, config=WARM | {"warmup": 20}), "contradicted: No spike and no divergence"),
        (spiked(21, WARM | {"warmup": 20}), "supported: The warmup ends at step 20; the onset"),
        (spiked(16, WARM | {"warmup": 20}), "the onset lies in (15, 16], within 20 %"),
        (spiked(16, WARM | {"warmup": "20%"}), "within 20 % of that"),
        (spiked(30, WARM | {"warmup": 20}), "contradicted: The warmup ends at step 20"),
        (spiked(10, WARM | {"warmup": 20}), "outside 20 % of that"),
        (spiked(21, WARM | {"warmup": 0}), "contradicted: There is no warmup."),
        (spiked(21, WARM), "untestable: warmup is not known: give it with --config"),
        (spiked(21, {}), "untestable: warmup is not known"),
        (
            spiked(21, {}, learning_rate=[min(step, 20) * 1e-4 for step in range(100)]),
            "supported: The warmup ends at step 20",
        ),
        (spiked(21, {}, learning_rate=[1e-4] * 100), "contradicted: There is no warmup."),
        (
            case_of(
                [3.0, 6.0, 3.0],
                steps=[900, 901, 902],
                learning_rate=[1e-4] * 3,
                findings=[spike(901)],
            ),
            "untestable: warmup is not known",
        ),
        (
            case_of(
                [3.0, 6.0, 3.0],
                steps=[0, 600, 1200],
                findings=[spike(600)],
                config=RECORDED_CONFIG,
            ),
            "supported: The warmup ends at step 500; the onset lies in (0, 600], within 20 % of "
            "that, but the log is too coarse",
        ),
    ],
)
def test_warmup_end(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "warmup-end"))


def test_a_longer_warmup_goes_with_half_the_peak() -> None:
    case = spiked(21, WARM | {"warmup": 20})
    cause = answer(case, "warmup-end")

    (advice,) = cause.rule.advise(case, cause.decision)

    assert advice.change == {"warmup": 40, "learning_rate": 5e-4}


def flat(start: int, config: dict[str, object], **columns: list[float | None]) -> Case:
    return case_of(LOSSES, findings=[plateau(start, 99, level=3.0)], config=config, **columns)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(LOSSES, config=WARM), "contradicted: No plateau in this log."),
        (flat(92, WARM), "supported: The loss is flat from step 92 to 99; the rate goes from 8 %"),
        (flat(70, WARM), "below a tenth only at its end"),
        (flat(50, WARM | {"floor_factor": 0.2}), "contradicted: The loss is flat"),
        (flat(50, {}, learning_rate=[1e-3] * 100), "from 100 % to 100 % of its peak"),
        (
            flat(50, {}, learning_rate=[1e-3] * 50 + [1e-5] * 50),
            "supported: The loss is flat from step 50 to 99; the rate goes from 1 % to 1 %",
        ),
        (flat(50, {}), "untestable: schedule is not known"),
    ],
)
def test_schedule_exhausted(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "schedule-exhausted"))
