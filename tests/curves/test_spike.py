from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves import FindingKind
from sweeper.curves.series import Series
from sweeper.curves.spike import SpikeDetector
from tests.curves.fakes import (
    NAN,
    RECORDED_LOSSES,
    RECORDED_STEPS,
    climbed,
    decay,
    spikes,
    watched,
)

losses = st.lists(st.floats(0.5, 20.0), max_size=60)


def test_the_recorded_run_has_one_spike_above_its_start_that_recovered() -> None:
    detector = watched(RECORDED_LOSSES, steps=RECORDED_STEPS)

    (spike,) = detector.findings()

    assert (spike.kind, spike.start_step, spike.recovered) == (FindingKind.SPIKE, 2000, True)
    assert spike.severity == pytest.approx(9.585 - 6.651)
    assert (spike.end_step, spike.numbers["recovered_step"]) == (2000, 2500)
    assert "above the starting loss 9.2270" in spike.evidence
    assert detector.open is None


def test_the_recorded_spike_was_open_while_it_lasted() -> None:
    detector = watched(RECORDED_LOSSES[:5], steps=RECORDED_STEPS)

    assert detector.open is not None
    assert detector.open.start_step == 2000
    assert [finding.recovered for finding in detector.findings()] == [False]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at", [3, 20, 90])
def test_a_spike_in_noise_is_found_at_its_step(seed: int, at: int) -> None:
    series = decay(100, noise=0.05, seed=seed, start=5.0)
    series[at] += 2.0

    (spike,) = spikes(series)

    assert spike.start_step == at
    assert spike.recovered
    assert spike.severity == pytest.approx(2.0, abs=0.8)


@pytest.mark.parametrize(
    "series",
    [
        pytest.param([4.0] * 100, id="constant"),
        pytest.param(decay(200), id="smooth decay"),
        pytest.param(decay(10), id="steep decay"),
        pytest.param([6.0 - 0.5 * (i // 20) for i in range(200)], id="staircase down"),
        pytest.param([], id="nothing"),
        pytest.param([7.0], id="one point"),
    ],
)
def test_no_spike_in_a_healthy_curve(series: list[float]) -> None:
    assert spikes(series) == []
    assert climbed(series).findings() == []


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_no_spike_in_a_noisy_decay(seed: int, noise: float) -> None:
    series = decay(300, noise=noise, seed=seed)

    assert spikes(series) == []
    assert climbed(series).findings() == []


@pytest.mark.parametrize("seed", range(10))
def test_loud_noise_raises_the_threshold(seed: int) -> None:
    """0.2 nats of noise make jumps far above the absolute threshold, and no spikes."""
    series = decay(300, noise=0.2, seed=seed)
    late = watched(series).findings()

    assert [spike for spike in late if spike.start_step >= 40] == []


def test_a_spike_that_stays_up_stays_open() -> None:
    detector = watched([5.0] * 20 + [8.0] + [7.5] * 50)

    assert detector.open is not None
    assert (detector.open.start_step, detector.open.num_points) == (20, 51)
    assert (detector.open.peak, detector.open.current) == (8.0, 7.5)
    (spike,) = detector.findings()
    assert (spike.recovered, spike.start_step, spike.end_step) == (False, 20, 70)
    assert "recovered_step" not in spike.numbers


def test_a_spike_ends_with_its_last_high_step() -> None:
    (spike,) = spikes([5.0] * 20 + [8.0, 9.0, 6.5] + [5.0] * 3)

    assert (spike.start_step, spike.end_step, spike.numbers["num_points"]) == (20, 22, 3)
    assert (spike.numbers["recovered_step"], spike.numbers["last"]) == (23, 5.0)


def test_a_spike_does_not_raise_the_level_that_the_next_is_judged_by() -> None:
    series = [5.0] * 20 + [8.0] * 6 + [5.0] + [8.0] + [5.0]

    assert [(s.start_step, s.recovered) for s in spikes(series)] == [(20, True), (27, True)]


def test_spikes_do_not_pass_for_noise() -> None:
    series = [5.0] * 10 + [8.0, 5.0] * 10

    assert [spike.start_step for spike in spikes(series)] == list(range(10, 30, 2))


def test_a_spike_below_the_starting_loss_says_so() -> None:
    (spike,) = spikes([9.0, 5.0, 5.0, 5.0, 5.0, 5.0, 7.0, 5.0])

    assert "below the starting loss 9.0000" in spike.evidence


@settings(deadline=None, derandomize=True)
@given(losses, st.integers(0, 60))
def test_what_a_prefix_reported_stays_reported(series: list[float], cut: int) -> None:
    early, late = spikes(series[:cut]), spikes(series)

    assert [s.start_step for s in late[: len(early)]] == [s.start_step for s in early]
    closed = [spike for spike in early if spike.recovered]
    assert late[: len(closed)] == closed


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.one_of(st.floats(0.5, 20.0), st.floats(3.9, 4.2)), max_size=80), st.integers(0, 80)
)
def test_many_at_once_are_the_same_as_one_by_one(series: list[float], cut: int) -> None:
    swept = SpikeDetector()
    steps, values = np.arange(len(series)), np.array(series, dtype=np.float64)
    swept.extend(Series(steps[:cut], values[:cut]))
    swept.extend(Series(steps[cut:], values[cut:]))

    single = SpikeDetector()
    for step, value in enumerate(series):
        single.update(step, step, value)

    assert swept.excursions == single.excursions


@settings(deadline=None, derandomize=True)
@given(losses, st.data())
def test_what_is_no_number_changes_nothing(series: list[float], data: st.DataObject) -> None:
    detector, clean = watched([]), watched([])
    for step, loss in enumerate(series):
        clean.update(step, step, loss)
        detector.update(step, step, loss)
        if data.draw(st.booleans()):
            detector.update(step, step, data.draw(st.sampled_from([NAN, math.inf, -math.inf])))

    assert detector.findings() == clean.findings()
    assert detector.starting_loss == clean.starting_loss


@settings(deadline=None, derandomize=True)
@given(losses, st.integers(-1000, 1000))
def test_steps_may_be_counted_from_anywhere(series: list[float], shift: int) -> None:
    here = watched(series)
    there = watched(series, steps=range(shift, shift + len(series)))

    assert [s.start_step + shift for s in here.findings()] == [
        s.start_step for s in there.findings()
    ]


@pytest.mark.parametrize("shift", [1.0, 8.0])
def test_where_noise_sets_the_threshold_a_shift_of_the_loss_changes_nothing(shift: float) -> None:
    """At 0.3 nats of noise six sigmas are far above 5 % of any of these levels."""
    rng = np.random.default_rng(5)
    series = 4.0 + 0.3 * rng.standard_normal(120)
    series[100] += 6.0

    here, there = spikes(series.tolist()), spikes((series + shift).tolist())

    found = [s.start_step for s in here if s.start_step >= 40]
    assert found == [100]
    assert [s.start_step for s in there if s.start_step >= 40] == found


def test_a_slow_climb_is_found_though_no_point_jumps() -> None:
    rng = np.random.default_rng(2)
    series = [*decay(100), *(3.05 + 0.01 * i for i in range(150))]
    noisy = [float(value + 0.03 * rng.standard_normal()) for value in series]

    assert spikes(noisy) == []
    (climb,) = climbed(noisy).findings()
    assert climb.kind is FindingKind.DIVERGENCE
    assert 100 < climb.start_step < 175
    assert climb.end_step == 249
    assert climb.severity == pytest.approx(1.45, abs=0.2)


def test_a_climb_that_comes_back_is_over() -> None:
    up = [3.0] * 40 + [3.0 + 0.02 * i for i in range(50)]

    assert climbed(up).open_since_tokens is not None
    assert climbed(up + [3.0] * 20).findings() == []


def test_a_climb_ignores_what_is_no_number() -> None:
    assert climbed([3.0] * 20 + [NAN, math.inf] * 20).findings() == []
