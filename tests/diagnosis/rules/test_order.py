from __future__ import annotations

import math

import numpy as np
import pytest

from sweeper.curves.series import Series
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.rules.order import boundary_drops, correlation_at
from tests.diagnosis.rules.cases import answer, case_of, corpus_of, told

EPOCH = 20


def noisy(seed: int, num: int = 80) -> list[float]:
    return list(3.0 + 0.02 * np.random.default_rng(seed).standard_normal(num))


def staircase(seed: int = 0) -> list[float]:
    return [loss - 0.4 * (step // EPOCH) for step, loss in enumerate(noisy(seed))]


def in_epochs(losses: list[float], **others: object) -> Case:
    epochs = [step / EPOCH for step in range(len(losses))]
    return case_of(losses, epoch=epochs, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (in_epochs(staircase()), "supported: The loss steps down at 3 of 3 ends of epochs, by"),
        (in_epochs(noisy(1)), "contradicted: The loss steps down at 0 of 3 ends of epochs"),
        (
            in_epochs([4.0 - 0.02 * step for step in range(80)]),
            "contradicted: The loss steps down at 0 of 3",
        ),
        (in_epochs(noisy(1, 15)), "contradicted: The log ends at step 14, within the first epoch"),
        (
            case_of([3.0, 2.9, 2.8], steps=[0, 30, 60], epoch=[0.0, 1.5, 3.0]),
            "untestable: Too few losses beside the ends of epochs",
        ),
        (case_of(noisy(1)), "untestable: The steps of an epoch are not known"),
        (
            case_of(
                staircase(),
                config={"block_size": 50, "batch_size": 10},
                corpus=corpus_of(num_tokens=10_000),
            ),
            "supported: The loss steps down at 3 of 3",
        ),
        (
            case_of(
                staircase(),
                config={"block_size": 50, "batch_size": 10},
                corpus=corpus_of(num_tokens=10_000, is_exact=False),
            ),
            "untestable: The steps of an epoch are not known",
        ),
    ],
)
def test_repetition(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "repetition"))


def test_a_drop_is_measured_across_the_boundary() -> None:
    losses = [3.0] * 20 + [2.0] * 20

    ((at, fall, trend),) = boundary_drops(
        Series(np.arange(1, 41), np.array(losses)), per_epoch=20.0
    )

    assert (at, fall, trend) == (20, 1.0, 0.0)


def waves(seed: int) -> list[float]:
    return [
        loss + 0.2 * math.sin(2 * math.pi * step / EPOCH) for step, loss in enumerate(noisy(seed))
    ]


@pytest.mark.parametrize("seed", range(3))
def test_waves_of_an_epoch_are_found(seed: int) -> None:
    assert "supported: Losses one epoch apart (20 steps)" in told(
        answer(in_epochs(waves(seed)), "data-order")
    )


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_no_order(seed: int) -> None:
    assert "contradicted: Losses one epoch apart" in told(
        answer(in_epochs(noisy(seed)), "data-order")
    )


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(noisy(1)), "untestable: The steps of an epoch are not known"),
        (in_epochs(noisy(1, 40)), "untestable: An order that repeats shows over 3 epochs"),
    ],
)
def test_too_little_for_an_order(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "data-order"))


def test_a_trend_is_no_correlation() -> None:
    falling = np.linspace(5, 3, 100)

    assert abs(correlation_at(falling, 10)) < 1e-9 or np.ptp(falling) == 0


def test_a_perfect_repetition_correlates_fully() -> None:
    once = np.random.default_rng(3).standard_normal(10)

    assert correlation_at(np.tile(once, 6), 10) == pytest.approx(1.0)
