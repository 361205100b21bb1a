from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.rules.precision import deepest_fall
from tests.diagnosis.rules.cases import NAN, answer, case_of, found, spike, told


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            case_of([2.6, 0.0, 0.0], grad_norm=[NAN] * 3),
            "supported: 2 training losses are exactly 0, from step 1 on, with a gradient norm",
        ),
        (case_of([2.6, 0.0, 0.0]), "supported: 2 training losses are exactly 0"),
        (case_of([2.6, 0.0, 0.0], grad_norm=[1.0] * 3), "contradicted: 2 training losses are"),
        (case_of([2.6, 0.0, 2.5]), "untestable: 1 training losses are exactly 0"),
        (case_of([2.6, 2.5]), "contradicted: No training loss is exactly 0."),
    ],
)
def test_masked_nan(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "masked-nan"))


def test_a_zero_with_a_broken_gradient_is_near_proof() -> None:
    assert answer(case_of([2.6, 0.0], grad_norm=[NAN] * 2), "masked-nan").confidence >= 0.95
    assert answer(case_of([2.6, 0.0, 0.0]), "masked-nan").confidence <= 0.6


def scaled(scales: list[float], **others: object) -> Case:
    return case_of([3.0] * len(scales), loss_scale=scales, **others)  # type: ignore[arg-type]


STEADY = [65536.0] * 10
FALL = [*STEADY, 32768.0, 16384.0, 8192.0, 8192.0]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (scaled(FALL, findings=[spike(11)]), "supported: The loss scale fell by 3 halvings"),
        (scaled(FALL, findings=[spike(11)]), "where the loss broke at step 11"),
        (
            scaled(FALL, findings=[found(FindingKind.NON_FINITE, 12, 13)]),
            "where the loss broke at step 12",
        ),
        (scaled(FALL), "supported: The loss scale fell by 3 halvings between steps 9 and 12"),
        (scaled([*STEADY, 8192.0]), "supported: The loss scale fell by 3 halvings between"),
        (scaled([65536.0, 32768.0, 16384.0, 8192.0] + [8192.0] * 9), "as a scaler does that"),
        (scaled([*STEADY, 32768.0, 16384.0]), "contradicted: The loss scale fell by 2.0 halvings"),
        (scaled(STEADY), "contradicted: The loss scale fell by 0 halvings"),
        (case_of([3.0]), "untestable: Missing: loss scale"),
    ],
)
def test_fp16_overflow(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "fp16-overflow"))


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 20), min_size=2, max_size=30))
def test_the_deepest_fall_is_the_longest_stretch_that_never_rises(powers: list[int]) -> None:
    fall = deepest_fall([(step, 2.0**power) for step, power in enumerate(powers)])

    falls = [
        powers[i] - powers[j]
        for i in range(len(powers))
        for j in range(i + 1, len(powers))
        if all(powers[k] > powers[k + 1] for k in range(i, j))
    ]
    assert (fall.halvings if fall else 0) == pytest.approx(max(falls, default=0))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of([2.6, 2.5, 2.4]), "contradicted: The first 3 losses reach up to 2.6000"),
        (case_of([2.6, 0.0, 0.0]), "contradicted: The first 3 losses reach up to 2.6000"),
        (case_of([1e-5, 1e-6, 0.0]), "supported: The first 3 losses are at most 1e-05"),
        (case_of([NAN] * 5), "supported: All 5 training losses are NaN from the first on"),
        (case_of([math.inf, math.inf]), "untestable: The first losses do not tell"),
        (case_of([2.6]), "untestable: The first losses do not tell"),
        (case_of(val_loss=[2.6]), "untestable: No training loss was logged"),
    ],
)
def test_label_mask(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "label-mask"))


def test_bf16_is_not_sold_as_less_noisy() -> None:
    case = scaled(FALL, findings=[spike(11)])
    cause = answer(case, "fp16-overflow")

    (advice,) = cause.rule.advise(case, cause.decision)

    assert "adds noise and removes none" in advice.reason
    assert advice.change == {"precision": "fp32"}
