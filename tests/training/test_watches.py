"""What looks on while a run is trained."""

from __future__ import annotations

import math

import pytest

from sweeper.curves import Point, Stop, StopReason
from sweeper.training.watches import Lookout, Shown
from tests.training.conftest import Script

PLATEAU = Stop(StopReason.PLATEAU, "flat")


def point(step: int, train_loss: float | None = 3.0, **more: float) -> Point:
    return Point(step=step, tokens=64 * step, train_loss=train_loss, **more)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (point(4, math.nan), "train loss is nan at step 4"),
        (point(4, math.inf), "train loss is inf at step 4"),
        (point(4, val_loss=math.nan), "val loss is nan at step 4"),
        (point(4, grad_norm=math.inf), "grad norm is inf at step 4"),
    ],
)
def test_lookout_ends_a_run_at_what_is_no_number(broken: Point, named: str) -> None:
    assert Lookout().update(broken) == Stop(StopReason.NON_FINITE, named)


def test_lookout_lets_any_other_run_go_on() -> None:
    lookout = Lookout()
    for step, loss in enumerate([None, 6.0, 5.0, 40.0, 5.0, None]):
        assert lookout.update(point(step, loss)) is None


def test_lookout_ends_where_it_is_told_to() -> None:
    lookout = Lookout((3, PLATEAU))
    assert [lookout.update(point(step)) for step in range(5)] == [None, None, None, *[PLATEAU] * 2]


def test_lookout_prefers_what_is_broken_to_the_planned_end() -> None:
    stop = Lookout((3, PLATEAU)).update(point(3, math.nan))
    assert stop is not None
    assert stop.reason is StopReason.NON_FINITE


@pytest.mark.parametrize("door", ["update", "replay"])
def test_lookout_knows_the_spike_that_a_run_is_in(door: str) -> None:
    lookout = Lookout()
    seen = []
    for step, loss in enumerate([3.0, 3.0, 3.0, 9.0, 8.0, 3.0]):
        getattr(lookout, door)(point(step, loss))
        seen.append(lookout.spike_start_step)
    assert seen == [None, None, None, 3, 3, None]


def test_shown_shows_new_points_alone_and_passes_on_all() -> None:
    shown: list[int] = []
    script = Script(stops={2: PLATEAU}, spikes={1: 1})
    watch = Shown(script, lambda p: shown.append(p.step))
    watch.replay(point(0))
    assert watch.spike_start_step is None
    assert watch.update(point(1)) is None
    assert watch.spike_start_step == 1
    assert watch.update(point(2)) == PLATEAU
    assert (shown, script.updated, script.replayed) == ([1, 2], [1, 2], [0])
