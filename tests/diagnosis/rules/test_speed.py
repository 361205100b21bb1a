from __future__ import annotations

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.remedies import scores_share
from tests.diagnosis.rules.cases import answer, case_of, found, recorded_case, spike, told

LOSSES = [3.0] * 10
TIMES = [0.1] * 5 + [0.2] * 5


def slowed(*others: object, recovered: bool = False, **numbers: float) -> Case:
    drop = found(FindingKind.THROUGHPUT_DROP, 5, 9, severity=2.0, recovered=recovered, **numbers)
    return case_of(LOSSES, step_seconds=TIMES, findings=[drop, *others])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            slowed(before_s=0.1, after_s=0.2),
            "supported: From step 5 on a step takes 0.2 s instead of 0.1 (10.00 to 5.00 steps/s, "
            "-50 %)",
        ),
        (slowed(), "From step 5 on a step takes 2.00 times as long"),
        (slowed(), "It lasts to the log's end."),
        (slowed(recovered=True), "It ended again within the log"),
        (slowed(num_points=1), "whether it lasts is not known"),
        (case_of(LOSSES, step_seconds=TIMES), "contradicted: No lasting drop of speed"),
        (case_of(LOSSES), "untestable: Missing: step times"),
    ],
)
def test_throughput(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "throughput"))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (slowed(spike(5)), "contradicted: From step 5 on a step takes 2.00 times as long, beside"),
        (slowed(), "contradicted: There is a drop of speed and no spike"),
        (case_of(LOSSES, step_seconds=TIMES), "contradicted: No lasting drop of speed"),
        (case_of(LOSSES), "untestable: Missing: step times"),
    ],
)
def test_slowed_by_spike(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "slowed-by-spike"))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (slowed(), "untestable: From step 5 on a step takes 2.00 times as long; nothing in the"),
        (case_of(LOSSES, step_seconds=TIMES), "contradicted: No lasting drop of speed"),
    ],
)
def test_memory_pressure(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "memory-pressure"))


@pytest.mark.parametrize(
    ("block", "width", "share"),
    [(256, 768, 0.0526), (128, 768, 0.0270), (1024, 768, 0.1818), (256, 128, 0.25)],
)
def test_share_of_the_score_matrices(block: int, width: int, share: float) -> None:
    """4 S d of 4 S d + 24 d^2, so S / (S + 6 d)."""
    assert scores_share(block, width) == pytest.approx(share, abs=1e-4)


def test_a_smaller_block_tests_the_memory_and_says_so() -> None:
    case = recorded_case()
    cause = answer(case, "throughput")

    advice = {each.id: each for each in cause.rule.advise(case, cause.decision)}

    assert advice["smaller-block"].change == {"block_size": 128}
    assert advice["smaller-block"].expect == "speed > baseline"
    assert "only if memory was the limit" in advice["smaller-block"].reason
