"""What experiments on a spike decide."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sweeper.curves import Curve, Point
from sweeper.errors import UsageError
from sweeper.training.examination import (
    Change,
    Experiment,
    SpikeCause,
    decide,
    find_onset,
    height_over,
)

BATCH, HALF, TENTH, MOMENTS = (
    Change.BATCH,
    Change.HALF_RATE,
    Change.TENTH_RATE,
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
        ((HALF, MOMENTS), 0, SpikeCause.SEVERAL, "rate too high and optimizer state"),
        ((), 0, SpikeCause.NONE, "No change makes it go"),
    ],
)
def test_what_alone_makes_the_spike_go_is_its_cause(
    gone: tuple[Change, ...], lucky: int, cause: SpikeCause, part: str
) -> None:
    decision = decide(experiments(*gone, lucky=lucky))
    assert decision.cause is cause
    assert part in decision.evidence


def test_a_spike_that_does_not_repeat_is_put_down_to_nothing() -> None:
    assert decide(experiments(BATCH, HALF, reference=0.0)).cause is SpikeCause.NOT_REPEATED


def test_moments_that_could_not_be_tried_are_not_told() -> None:
    decision = decide(experiments(HALF, moments=False))
    assert decision.cause is SpikeCause.RATE
    assert "moments" not in decision.evidence


def test_a_quarter_of_the_height_is_no_longer_the_spike() -> None:
    tried = experiments()
    half = next(n for n, e in enumerate(tried) if e.change is HALF)
    for height, cause in ((0.49, SpikeCause.RATE), (0.51, SpikeCause.NONE)):
        tried[half] = experiment(HALF, height)
        assert decide(tried).cause is cause


def curve_of(*losses: float) -> Curve:
    points = (Point(step, 64 * step, train_loss=loss) for step, loss in enumerate(losses, 1))
    return Curve(tuple(points))


def test_the_spike_that_a_curve_ends_in_is_examined_before_a_higher_one() -> None:
    calm = [4.0, 4.01, 3.99, 4.0] * 4
    assert find_onset(curve_of(*calm, 9.0, *calm, 6.0, 6.1)).start_step == 34
    assert find_onset(curve_of(*calm, 9.0, *calm, 6.0, *calm)).start_step == 17
    with pytest.raises(UsageError, match="shows no spike"):
        find_onset(curve_of(*calm))


def test_a_climb_is_examined_from_where_no_loss_was_back_near_its_best() -> None:
    climb = [4.0 + 0.03 * n for n in range(1, 40)]
    spike = find_onset(curve_of(*[4.0, 4.01, 3.99, 4.0] * 4, *climb))
    assert spike.threshold == 0.25
    assert spike.start_step == 16 + 9  # the first at 4.27
    assert spike.peak == pytest.approx(4.0 + 0.03 * 39)


def test_all_experiments_are_held_against_the_trial_s_own_level() -> None:
    calm = [4.0, 4.01, 3.99, 4.0] * 4
    spike = replace(find_onset(curve_of(*calm, 6.0)), level=4.0, threshold=0.3)
    assert height_over(spike, [4.1, 4.2]) == 0.0
    assert height_over(spike, [4.1, 5.0, 4.2]) == pytest.approx(1.0)
    assert height_over(spike, [4.1, math.nan]) == math.inf
