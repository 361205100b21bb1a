from __future__ import annotations

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case
from sweeper.logs import ColumnUse
from tests.diagnosis.rules.cases import answer, case_of, found, told

LOSSES = [3.0] * 10
DROP = found(FindingKind.THROUGHPUT_DROP, 5, 9, severity=2.0)
CLOCK = [0.1 * (step + 1) for step in range(10)]


def use(reading: str, *, role: str = "train_loss", basis: str = "by name") -> ColumnUse:
    return ColumnUse("loss_avg", role, "nats", reading, basis)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(LOSSES), "contradicted: No column is a running mean"),
        (
            case_of(LOSSES, log={"columns": (use("running mean"),)}),
            "supported: Column loss_avg was read as a running mean",
        ),
        (case_of(LOSSES, log={"columns": (use("running mean", role=""),)}), "contradicted"),
        (
            case_of(LOSSES, log={"runs": ("a", "b"), "run": "b"}),
            "supported: The log holds 2 runs; one of them, b, is read here",
        ),
        (
            case_of(LOSSES, step_seconds=CLOCK, findings=[DROP]),
            "supported: The step time grows at each of 10 points, from 0.1 to 1 s",
        ),
        (case_of(LOSSES, step_seconds=CLOCK), "contradicted"),
        (
            case_of(
                LOSSES,
                step_seconds=CLOCK,
                findings=[DROP],
                log={"columns": (use("per step", role="step_seconds", basis="by flag"),)},
            ),
            "contradicted",
        ),
        (
            case_of(LOSSES, step_seconds=[0.1] * 5 + [0.2] * 5, findings=[DROP]),
            "contradicted",
        ),
    ],
)
def test_log_artefact(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "log-artefact"))
