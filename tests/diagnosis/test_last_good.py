from __future__ import annotations

import math

import pytest

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis.last_good import find_last_good, first_damage
from tests.diagnosis.fakes import case_of, finding, points, recorded_case, spike


def test_the_recorded_run_was_last_good_at_1500_by_time_and_at_1000_by_validation() -> None:
    good = find_last_good(recorded_case())

    assert (good.step, good.best_step) == (1500, 1000)
    assert good.reason == (
        "Step 1,500 is the last one logged before the spike at step 2,000; by validation loss "
        "step 1,000 is the best before it (6.7096, 6.7427 at 1,500)."
    )


def test_a_healthy_run_needs_no_going_back() -> None:
    good = find_last_good(case_of(points([5.0, 4.0, 3.0])))

    assert (good.step, good.best_step) == (None, None)
    assert "no need to go back" in good.reason


def test_a_spike_that_healed_and_was_outgrown_needs_no_going_back() -> None:
    case = case_of(points([5.0, 4.0, 9.0, 4.1, 3.0, 2.0]), [spike(2)])

    good = find_last_good(case)

    assert good.step is None
    assert good.reason == (
        "The spike at step 2 healed: the training loss went on to 2.0000 at step 5, from 4.0000 "
        "at best before it. No need to go back."
    )


def test_the_first_damage_that_stayed_goes_before_an_earlier_spike_that_healed() -> None:
    lasting = finding(FindingKind.DIVERGENCE, 5, 7, recovered=False)
    case = case_of(points([5.0, 4.0, 9.0, 4.0, 3.0, 8.0, 8.0, 9.0]), [spike(2), lasting])

    assert first_damage(case) is lasting
    assert find_last_good(case).step == 4


def test_the_step_before_the_first_loss_that_is_no_number() -> None:
    broken = finding(FindingKind.NON_FINITE, 2, 3, recovered=False)
    case = case_of(points([5.0, 4.0, math.nan, math.nan]), [broken])

    good = find_last_good(case)

    assert good.step == 1
    assert "before the loss that is no number at step 2" in good.reason


@pytest.mark.parametrize(
    "broken",
    [
        finding(FindingKind.NON_FINITE, 0, 3, recovered=False),
        spike(0, 2, recovered=False),
    ],
)
def test_nothing_good_before_a_damage_at_the_start(broken: Finding) -> None:
    good = find_last_good(case_of(points([9.0, 9.0, 9.0, 9.0]), [broken]))

    assert good.step is None
    assert good.reason.startswith("Nothing good was logged before the ")


def test_where_a_run_overfits_the_lowest_validation_loss_counts() -> None:
    case = case_of(
        points([5.0, 4.0, 3.0, 2.0], [5.0, 4.2, 4.6, 5.0]), [finding(FindingKind.OVERFIT, 1, 3)]
    )

    good = find_last_good(case)

    assert (good.step, good.best_step) == (1, 1)
    assert "lowest validation loss, 4.2000" in good.reason


def test_a_plateau_or_a_slow_machine_damages_nothing() -> None:
    found = [finding(FindingKind.PLATEAU, 1, 3), finding(FindingKind.THROUGHPUT_DROP, 1, 3)]

    assert find_last_good(case_of(points([5.0, 4.0, 4.0, 4.0]), found)).step is None


def test_the_newest_logged_step_counts_though_it_was_not_evaluated() -> None:
    train = [5.0, 4.5, 4.2, 4.0, 3.9, 3.8, 3.7, 3.6, 9.0, 9.0]
    val: list[float | None] = [5.1, None, None, None, None, 3.9, None, None, None, None]
    case = case_of(points(train, val), [spike(8, 9, recovered=False)])

    good = find_last_good(case)

    assert (good.step, good.best_step) == (7, 5)
    assert "step 5 is the best before it (3.9000)." in good.reason
