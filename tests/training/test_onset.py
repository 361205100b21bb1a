"""Where the spike begins that is examined."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sweeper.curves import Curve, Point
from sweeper.errors import UsageError
from sweeper.training.onset import find_onset, height_over

CALM = [4.0, 4.01, 3.99, 4.0] * 4


def curve_of(*losses: float) -> Curve:
    points = (Point(step, 64 * step, train_loss=loss) for step, loss in enumerate(losses, 1))
    return Curve(tuple(points))


def test_the_spike_that_a_curve_ends_in_is_examined_before_a_higher_one() -> None:
    assert find_onset(curve_of(*CALM, 9.0, *CALM, 6.0, 6.1)).start_step == 34
    assert find_onset(curve_of(*CALM, 9.0, *CALM, 6.0, *CALM)).start_step == 17
    with pytest.raises(UsageError, match="shows no spike"):
        find_onset(curve_of(*CALM))


def test_a_climb_is_examined_from_where_no_loss_was_back_near_its_best() -> None:
    climb = [4.0 + 0.03 * n for n in range(1, 40)]
    spike = find_onset(curve_of(*CALM, *climb))
    assert spike.threshold == 0.25
    assert spike.start_step == 16 + 9  # the first at 4.27
    assert spike.peak == pytest.approx(4.0 + 0.03 * 39)


def test_all_experiments_are_held_against_the_trial_s_own_level() -> None:
    spike = replace(find_onset(curve_of(*CALM, 6.0)), level=4.0, threshold=0.3)
    assert height_over(spike, [4.1, 4.2]) == 0.0
    assert height_over(spike, [4.1, 5.0, 4.2]) == pytest.approx(1.0)
    assert height_over(spike, [4.1, math.nan]) == math.inf
    assert height_over(spike, [4.1, None, 5.0]) == pytest.approx(1.0)


@pytest.mark.parametrize("broken", [{"train_loss": math.nan}, {"grad_norm": math.inf}])
def test_a_curve_that_breaks_off_spikes_there(broken: dict[str, float]) -> None:
    last = replace(Point(17, 17 * 64, train_loss=4.0, grad_norm=1.0), **broken)
    spike = find_onset(Curve((*curve_of(*CALM), last)))
    assert (spike.start_step, spike.height, spike.level) == (17, math.inf, 4.0)
    risen = Point(17, 17 * 64, train_loss=9.0)
    after = replace(last, step=18, train_loss=math.nan)
    assert find_onset(Curve((*curve_of(*CALM), risen, after))).start_step == 17
    with pytest.raises(UsageError, match="shows no spike"):
        find_onset(Curve((replace(last, step=1),)))
