from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves import FindingKind
from sweeper.diagnosis.timeline import MAX_ROWS, build_timeline
from tests.diagnosis.fakes import case_of, finding, points, recorded_case, spike


def test_the_recorded_run_row_by_row() -> None:
    rows = build_timeline(recorded_case())

    assert [(row.step, row.status) for row in rows] == [
        (0, "start"),
        (500, "falling"),
        (1000, "falling, plateau begins"),
        (1500, "rising slightly, plateau"),
        (2000, "spike, above the start, plateau"),
        (2500, "recovered, plateau, slow"),
    ]
    assert [row.is_bad for row in rows] == [False, False, True, True, True, True]
    changes = [row.change for row in rows]
    assert changes[0] is None
    assert changes[1:] == pytest.approx([-2.2726, -0.3733, 0.0700, 2.9335, -2.9422])


def test_the_rate_is_recomputed_where_none_was_logged() -> None:
    rates = [row.learning_rate for row in build_timeline(recorded_case())]

    assert rates == pytest.approx([2e-6, 2e-5, 1.9397e-5, 1.7660e-5, 1.5e-5, 1.1736e-5], rel=1e-4)
    assert {row.learning_rate for row in build_timeline(recorded_case({}))} == {None}


def test_a_logged_rate_goes_before_the_schedule() -> None:
    case = recorded_case()
    rows = points([5.0, 4.0], learning_rate=[3e-4, 2e-4])

    shown = build_timeline(case_of(rows, config=case.config.values))

    assert [row.learning_rate for row in shown] == [3e-4, 2e-4]


def test_the_validation_loss_tells_the_change_where_training_was_not_logged() -> None:
    rows = points([None, None, 3.0], [5.0, 4.0, 3.5])

    assert [row.change for row in build_timeline(case_of(rows))] == [None, -1.0, -0.5]


def test_a_long_log_shows_its_events_among_evenly_chosen_rows() -> None:
    losses = (3 + 3 * np.exp(-np.arange(5000) / 500)).tolist()
    losses[3210] += 2.0
    losses[3211] += 1.2
    case = case_of(points(losses), [spike(3210, 3211, severity=2.0)])

    rows = build_timeline(case)
    steps = [row.step for row in rows]

    assert len(rows) <= MAX_ROWS
    assert {0, 3209, 3210, 3212, 4999} <= set(steps)
    assert steps == sorted(set(steps))
    assert max(np.diff(steps)) < 500
    assert [row.status for row in rows if row.step in (3210, 3212)] == ["spike", "recovered"]


def test_rows_with_both_losses_are_preferred() -> None:
    train = [5.0 - i / 1000 for i in range(2000)]
    val = [loss if i % 100 == 0 else None for i, loss in enumerate(train)]

    rows = build_timeline(case_of(points(train, val)))

    assert sum(row.val_loss is not None for row in rows) >= 15


@pytest.mark.parametrize(
    ("losses", "status"),
    [
        ([5.0, 4.999], "flat"),
        ([5.0, 4.5], "falling"),
        ([5.0, 5.05], "rising slightly"),
        ([5.0, 5.5], "rising"),
        ([5.0, math.nan], "no number"),
        ([5.0, math.inf], "no number"),
    ],
)
def test_a_change_in_a_word(losses: list[float], status: str) -> None:
    assert build_timeline(case_of(points(losses)))[-1].status == status


def test_what_wiggles_within_its_noise_is_flat() -> None:
    rng = np.random.default_rng(3)
    losses = (4.0 + 0.04 * rng.standard_normal(25)).tolist()

    statuses = [row.status for row in build_timeline(case_of(points(losses)))]

    assert statuses.count("flat") >= 20


def test_a_step_on_the_way_back_is_not_called_recovered() -> None:
    losses = [3.0, 3.0, 3.0, 9.0, 5.0, 3.1, 3.0]
    case = case_of(points(losses), [spike(3, 4, severity=6.0)])

    statuses = [row.status for row in build_timeline(case)]

    assert statuses[3:6] == ["spike, above the start", "coming back", "recovered"]


def test_a_drop_in_speed_begins_after_its_first_step() -> None:
    case = case_of(points([3.0] * 4), [finding(FindingKind.THROUGHPUT_DROP, 1, 3)])

    assert [row.is_bad for row in build_timeline(case)] == [False, False, True, True]


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.floats(0.1, 20.0) | st.just(math.nan), min_size=1, max_size=120),
    st.lists(st.tuples(st.integers(0, 130), st.integers(0, 60)), max_size=8),
    st.integers(3, 40),
)
def test_rows_are_points_of_the_log_in_order(
    losses: list[float], spans: list[tuple[int, int]], most: int
) -> None:
    kinds = list(FindingKind)
    found = [
        finding(kinds[i % len(kinds)], start, start + length, recovered=i % 2 == 0)
        for i, (start, length) in enumerate(spans)
    ]

    rows = build_timeline(case_of(points(losses), found), most)

    assert 1 <= len(rows) <= max(most, 2)
    assert all(a.step < b.step for a, b in pairwise(rows))
    assert (rows[0].step, rows[-1].step) == (0, len(losses) - 1)
    assert all(repr(row.train_loss) == repr(losses[row.step]) for row in rows)
