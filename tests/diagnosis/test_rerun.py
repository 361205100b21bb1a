from __future__ import annotations

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.rerun import repeat_run
from tests.diagnosis.fakes import RECORDED_CONFIG, case_of, finding, points, recorded_case, spike


def test_a_break_without_a_change_to_try_is_repeated_with_other_batches() -> None:
    test = repeat_run(recorded_case({**RECORDED_CONFIG, "seed": 41}), None)

    assert test is not None
    assert "SEED=42" in test.command
    assert "no spike near step 2,000 points to the data" in test.expected
    assert (test.low, test.high) == (None, None)


def test_a_plateau_without_a_change_to_try_is_measured_for_its_spread() -> None:
    flat = finding(FindingKind.PLATEAU, 1, 5)
    case = case_of(points([5.0, 4.0, 4.1, 4.0, 4.1, 4.0]), [flat])

    test = repeat_run(case, None)

    assert test is not None
    assert "SEED=18" in test.command
    assert test.expected.startswith("With another seed, the training loss ends at 3.8")
    assert test.low is not None
    assert test.high is not None
    assert test.low < 4.0 < 4.1 < test.high


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FindingKind.EVAL_NOT_TRACKING, "validation losses that differ"),
        (FindingKind.WEIGHTS_NOT_UPDATING, "training losses that no longer repeat"),
        (FindingKind.THROUGHPUT_DROP, "slow from the first step on means the machine"),
        (FindingKind.OVERFIT, "a best validation loss below that of this run"),
    ],
)
def test_a_fix_that_is_no_hyperparameter_is_tested_by_the_run_itself(
    kind: FindingKind, expected: str
) -> None:
    case = case_of(points([4.0] * 5), [finding(kind, 1, 4)], {"learning_rate": 1e-4})

    test = repeat_run(case, None)

    assert test is not None
    assert test.command == "TRAINING_STEPS=4 LEARNING_RATE=1e-4 python training.py"
    assert expected in test.expected
    assert test.refuted_by.endswith(".")
    assert (test.low, test.high, test.remark) == (None, None, "")


def test_the_first_damage_that_stayed_is_asked_about() -> None:
    lasting = finding(FindingKind.DIVERGENCE, 5, 6, recovered=False)
    case = case_of(points([5.0, 4.0, 9.0, 4.0, 3.0, 8.0, 8.0]), [spike(2), lasting])

    test = repeat_run(case, "make train")

    assert test is not None
    assert "no divergence near step 5 points to the data" in test.expected
    assert test.command.endswith("make train")


def test_a_healthy_run_need_not_be_repeated() -> None:
    assert repeat_run(case_of(points([5.0, 4.0, 3.0])), None) is None
