from __future__ import annotations

import math

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case
from tests.diagnosis.rules.cases import NAN, answer, case_of, found, plateau, spike, told

LOSSES = [3.0] * 40 + [6.0] + [3.0] * 9
QUIET = [1.0] * 50
EARLY = [1.0] * 36 + [30.0] + [1.0] * 13
LATE = [1.0] * 40 + [5.0] + [1.0] * 9
BROKEN = [1.0] * 40 + [NAN] * 10


def spiked(**columns: object) -> Case:
    return case_of(LOSSES, findings=[spike(40)], **columns)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(LOSSES, grad_norm=QUIET), "contradicted: No spike, no divergence"),
        (spiked(), "untestable: Missing: gradient norms"),
        (spiked(grad_norm=[0.0] * 50), "untestable: All logged gradient norms are 0"),
        (spiked(grad_norm=[None] * 40 + [1.0] * 10), "untestable: No gradient norms were logged"),
        (
            spiked(grad_norm=EARLY),
            "supported: The gradient norm reached 30 at step 36, 4 steps before the loss rose, "
            "30 times its usual 1",
        ),
        (spiked(grad_norm=LATE), "supported: The gradient norm reached 5 at step 40, 5 times"),
        (spiked(grad_norm=QUIET), "contradicted: The gradient norm reached 1 at step"),
        (
            case_of(
                [3.0] * 40 + [NAN] * 10,
                grad_norm=BROKEN,
                findings=[found(FindingKind.NON_FINITE, 40, 49)],
            ),
            "supported: The gradient norm is no number at step 40",
        ),
    ],
)
def test_gradient_explosion(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "gradient-explosion"))


def test_a_norm_that_grows_early_is_the_better_sign() -> None:
    early = answer(spiked(grad_norm=EARLY), "gradient-explosion").confidence
    late = answer(spiked(grad_norm=LATE), "gradient-explosion").confidence

    assert (early, late) == (0.75, 0.35)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(LOSSES), "contradicted: No spike, no divergence"),
        (spiked(config={"clip_norm": 1.0}), "contradicted: Gradients were clipped at a norm of 1"),
        (spiked(config={"rank": 8}), "untestable: clip_norm is not known"),
        (spiked(config={"clip_norm": None}), "supported: Clipping was off by configuration; w"),
        (
            spiked(config={"clip_norm": None}, grad_norm=EARLY),
            "supported: Clipping was off by configuration. The gradient norm reached 30",
        ),
        (
            spiked(config={"clip_norm": None}, grad_norm=QUIET),
            "contradicted: Clipping was off by configuration, but no gradient announced it",
        ),
        (spiked(config={"clip_norm": None}, grad_norm=[0.0] * 50), "without gradient norms"),
    ],
)
def test_clipping_absent(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "clipping-absent"))


@pytest.mark.parametrize(("clip_norm", "advised"), [(None, 1.0), (5.0, 1.0), (1.0, 0.3)])
def test_clip_harder_than_before(clip_norm: float | None, advised: float) -> None:
    case = spiked(config={"clip_norm": clip_norm}, grad_norm=EARLY)
    cause = answer(case, "gradient-explosion")

    (change,) = [a.change for a in cause.rule.advise(case, cause.decision) if a.change]

    assert change == {"clip_norm": advised}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(LOSSES), "contradicted: No spike and no divergence"),
        (spiked(grad_norm=EARLY), "untestable: At step 40 the size of Adam's updates"),
    ],
)
def test_adam_instability(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "adam-instability"))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(LOSSES), "contradicted: No plateau in this log. No spike"),
        (spiked(), "untestable: One log has one batch size. The gradient's noise"),
        (
            spiked(config={"batch_size": 4, "accumulation": 3, "block_size": 64}),
            "One log has one batch size, 12 blocks or 768 tokens a step",
        ),
        (
            case_of(LOSSES, findings=[plateau(0, 49)], config={"batch_size": 4}),
            "untestable: One log has one batch size, 4 blocks a step",
        ),
    ],
)
def test_small_batch_noise(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "small-batch-noise"))


def test_a_gradient_that_is_no_number_counts_as_infinite_but_is_not_reported_as_one() -> None:
    case = case_of([3.0] * 50, grad_norm=BROKEN, findings=[found(FindingKind.NON_FINITE, 40, 49)])

    numbers = answer(case, "gradient-explosion").decision.numbers

    assert all(math.isfinite(value) for value in numbers.values())
    assert "peak" not in numbers
