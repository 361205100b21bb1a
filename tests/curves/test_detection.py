from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves import Curve, FindingKind, Point
from sweeper.curves.detection import detect
from tests.curves.fakes import RECORDED_LOSSES, RECORDED_STEPS
from tests.curves.families import HEALTHY, SICK, curve

RECORDED_VAL = (9.268, 7.1291, 6.7096, 6.7427, 9.6169, 6.7105)
RECORDED_SPEED = (None, 1.04, 1.05, 1.05, 1.05, 0.62)


def recorded() -> Curve:
    return Curve(
        tuple(
            Point(
                step, 0, train_loss=train, val_loss=val, step_seconds=1 / speed if speed else None
            )
            for step, train, val, speed in zip(
                RECORDED_STEPS, RECORDED_LOSSES, RECORDED_VAL, RECORDED_SPEED, strict=True
            )
        )
    )


def kinds(run: Curve) -> set[str]:
    return {finding.kind.value for finding in detect(run)}


def test_the_recorded_run_spiked_came_back_stood_still_and_slowed_down() -> None:
    plateau, spike, slower = detect(recorded(), warmup_steps=500)

    assert (plateau.kind, plateau.start_step) == (FindingKind.PLATEAU, 1000)
    assert "tentative" in plateau.evidence
    assert (spike.kind, spike.start_step, spike.recovered) == (FindingKind.SPIKE, 2000, True)
    assert spike.severity == pytest.approx(2.934, abs=1e-3)
    assert spike.numbers["peak"] > spike.numbers["starting_loss"]
    assert (slower.kind, slower.start_step, slower.end_step) == ("throughput_drop", 2000, 2500)
    assert slower.severity == pytest.approx(1.05 / 0.62)
    assert "unresolved" in slower.evidence


@pytest.mark.parametrize("family", HEALTHY)
def test_healthy_runs_are_left_alone(family: Callable[[np.random.Generator], Curve]) -> None:
    noisy = {
        seed: found for seed in range(25) if (found := kinds(family(np.random.default_rng(seed))))
    }

    assert noisy == {}


@pytest.mark.parametrize("kind", SICK)
def test_nine_in_ten_sick_runs_are_found(kind: str) -> None:
    found = [kind in kinds(SICK[kind](np.random.default_rng(seed))) for seed in range(25)]

    assert np.mean(found) >= 0.9


@pytest.mark.parametrize("kind", ["plateau", "throughput_drop", "overfit"])
def test_no_instability_is_seen_where_there_is_none(kind: str) -> None:
    unstable = {"spike", "divergence", "non_finite"}

    for seed in range(25):
        assert not kinds(SICK[kind](np.random.default_rng(seed))) & unstable


@pytest.mark.parametrize("num", [0, 1, 2])
def test_next_to_nothing_says_nothing(num: int) -> None:
    assert detect(curve(range(num), [4.0] * num)) == ()


values = st.one_of(st.floats(0.1, 20.0), st.sampled_from([math.nan, math.inf, 0.0, 4.0]))
points = st.lists(st.tuples(st.none() | values, st.none() | values), max_size=30)


@settings(deadline=None, derandomize=True)
@given(points, st.integers(1, 1000))
def test_any_curve_has_an_answer_and_steps_only_scale_it(
    rows: list[tuple[float | None, float | None]], scale: int
) -> None:
    run = [Point(i, 0, train_loss=train, val_loss=val) for i, (train, val) in enumerate(rows)]
    wide = [Point(p.step * scale, 0, p.train_loss, p.val_loss) for p in run]

    here, there = detect(Curve(tuple(run))), detect(Curve(tuple(wide)))

    assert [(f.kind, f.start_step * scale, f.end_step * scale) for f in here] == [
        (f.kind, f.start_step, f.end_step) for f in there
    ]
    for finding in here:
        assert finding.start_step <= finding.end_step
        assert math.isfinite(finding.severity)
        assert all(math.isfinite(number) for number in finding.numbers.values())


def test_a_rate_that_still_rises_excuses_a_flat_loss() -> None:
    loss = (10.8 + 0.005 * np.random.default_rng(3).standard_normal(20)).tolist()
    rising = [1e-6 * i for i in range(20)]

    assert "never_learned" in kinds(curve(range(20), loss))
    assert kinds(curve(range(20), loss, learning_rate=rising)) == set()
