"""What experiments on a spike decide."""

from __future__ import annotations

import math

import pytest

from sweeper.training.examination import (
    Change,
    Experiment,
    SpikeCause,
    decide,
)

BATCH, HALF, TENTH, HUNDREDTH, MOMENTS = (
    Change.BATCH,
    Change.HALF_RATE,
    Change.TENTH_RATE,
    Change.HUNDREDTH_RATE,
    Change.MOMENTS,
)


def experiment(change: Change, height: float) -> Experiment:
    return Experiment(change=change, first_step=5, train_losses=(4.0,), height=height, val_loss=4.0)


def experiments(
    *gone: Change, reference: float = 2.0, lucky: int = 0, moments: bool = True
) -> list[Experiment]:
    """All experiments; the spike goes with those changes and with so many other batches."""
    batches = 5 if BATCH in gone else lucky
    tried = [Change.HALF_RATE, Change.TENTH_RATE, *([Change.MOMENTS] if moments else [])]
    return [
        experiment(Change.NOTHING, reference),
        *(experiment(BATCH, 0.0 if number < batches else 1.9) for number in range(5)),
        *(experiment(change, 0.0 if change in gone else 2.1) for change in tried),
    ]


@pytest.mark.parametrize(
    ("gone", "lucky", "cause", "part"),
    [
        ((BATCH,), 0, SpikeCause.BATCH, "gone in 5 of 5; half the rate: still there"),
        ((BATCH, TENTH), 0, SpikeCause.BATCH, "a tenth of the rate: gone"),
        ((), 4, SpikeCause.BATCH, "gone in 4 of 5"),
        ((), 3, SpikeCause.NONE, "gone in 3 of 5"),
        ((HALF, TENTH), 1, SpikeCause.RATE, "Another batch: gone in 1 of 5; half the rate: gone"),
        ((TENTH,), 0, SpikeCause.RATE, "By more than twice"),
        ((MOMENTS,), 0, SpikeCause.MOMENTS, "fresh moments: gone"),
        ((BATCH, HALF), 0, SpikeCause.SEVERAL, "bad batch and rate too high"),
        ((HALF, MOMENTS), 0, SpikeCause.MOMENTS, "at the full rate. Another batch: gone in 0 of 5"),
        ((BATCH, HALF, MOMENTS), 0, SpikeCause.SEVERAL, "bad batch and rate too high and"),
        ((), 0, SpikeCause.NONE, "No change makes it go"),
    ],
)
def test_what_alone_makes_the_spike_go_is_its_cause(
    gone: tuple[Change, ...], lucky: int, cause: SpikeCause, part: str
) -> None:
    decision = decide(experiments(*gone, lucky=lucky))
    assert decision.cause is cause
    assert part in decision.evidence


def test_a_rate_that_is_too_high_by_far_is_told_from_what_no_change_helps() -> None:
    tried = [*experiments(), experiment(HUNDREDTH, 0.0)]
    assert decide(tried).cause is SpikeCause.RATE
    assert decide(tried).evidence.startswith("By more than ten times.")
    assert "a hundredth of the rate: gone" in decide(tried).evidence
    assert decide([*experiments(), experiment(HUNDREDTH, 2.0)]).cause is SpikeCause.NONE


def test_a_spike_that_does_not_repeat_is_put_down_to_nothing() -> None:
    assert decide(experiments(BATCH, HALF, reference=0.0)).cause is SpikeCause.NOT_REPEATED


def test_moments_that_could_not_be_tried_are_not_told() -> None:
    decision = decide(experiments(HALF, moments=False))
    assert decision.cause is SpikeCause.RATE
    assert "moments" not in decision.evidence


def test_of_a_run_that_broke_off_nothing_may_be_left() -> None:
    tried = experiments(reference=math.inf)
    half = next(n for n, e in enumerate(tried) if e.change is HALF)
    for height, cause in ((0.0, SpikeCause.RATE), (0.5, SpikeCause.NONE)):
        tried[half] = experiment(HALF, height)
        assert decide(tried).cause is cause


def test_a_quarter_of_the_height_is_no_longer_the_spike() -> None:
    tried = experiments()
    half = next(n for n, e in enumerate(tried) if e.change is HALF)
    for height, cause in ((0.49, SpikeCause.RATE), (0.51, SpikeCause.NONE)):
        tried[half] = experiment(HALF, height)
        assert decide(tried).cause is cause
