"""What a finished curve shows, detector by detector: tables of small curves made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from sweeper.curves import Curve, Finding, Point
from sweeper.curves.instability import find_instability
from sweeper.curves.non_finite import find_lasting_non_finite
from sweeper.curves.overfit import find_overfit
from sweeper.curves.repetition import find_eval_not_tracking, find_weights_not_updating
from sweeper.curves.stagnation import find_final_plateau, find_never_learned
from sweeper.curves.throughput import find_speed_stretches, find_throughput_drop
from tests.curves.families import curve

NAN = math.nan


def noisy(levels: Sequence[float], sigma: float = 0.02, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return [float(level + sigma * rng.standard_normal()) for level in levels]


def only(findings: list[Finding], kind: str) -> Finding:
    (found,) = [finding for finding in findings if finding.kind == kind]
    return found


# ------------------------------------------------------------------ spikes and divergence


def test_a_single_hard_batch_is_no_spike_but_one_that_stays_up_is() -> None:
    hard, lasting = noisy([4.0] * 60), noisy([4.0] * 60)
    hard[30] += 0.3
    lasting[30:34] = [4.3, 4.28, 4.2, 4.1]

    assert find_instability(curve(range(60), hard)) == []
    spike = only(find_instability(curve(range(60), lasting)), "spike")
    assert (spike.start_step, spike.recovered) == (30, True)


def test_a_single_point_far_above_everything_is_a_spike() -> None:
    loss = noisy([4.0] * 60)
    loss[30] = 7.0

    assert only(find_instability(curve(range(60), loss)), "spike").start_step == 30


def test_batches_of_two_kinds_jump_without_a_spike() -> None:
    loss = noisy([1.4] * 60, 0.015, seed=4)
    for hard in (3, 9, 14, 22, 26, 31, 38, 40, 47, 55):
        loss[hard] += 0.4

    assert find_instability(curve(range(60), loss)) == []
    loss[30] += 1.2
    assert only(find_instability(curve(range(60), loss)), "spike").start_step == 30


def test_noise_on_both_sides_excuses_a_jump_at_the_start_of_a_log() -> None:
    batches = [1.21, 1.18, 1.09, 1.96, 0.62, 0.93, 2.42, 1.02, 0.65, 1.12, 0.28]

    assert find_instability(curve(range(11), batches)) == []
    calm_after = [*batches[:4], 1.1, 1.05, 1.08, 1.04, 1.06, 1.03, 1.02]
    assert only(find_instability(curve(range(11), calm_after)), "spike").start_step == 3


def test_a_validation_loss_that_rises_alone_is_no_spike_unless_it_comes_back() -> None:
    train = [3.0, 2.5, 2.2, 2.0, 1.8, 1.6, 1.4, 1.2]
    stays = [3.0, 2.6, 2.4, 2.4, 3.4, 3.5, 3.6, 3.7]
    returns = [3.0, 2.6, 2.4, 2.4, 3.4, 2.4, 2.4, 2.4]

    assert find_instability(curve(range(8), train, stays)) == []
    assert only(find_instability(curve(range(8), train, returns)), "spike").start_step == 4


def test_a_spike_that_both_losses_saw_is_one_spike() -> None:
    loss = [5.0, 4.0, 3.5, 3.3, 6.0, 3.3, 3.2, 3.1]

    assert len(find_instability(curve(range(8), loss, [x + 0.1 for x in loss]))) == 1


@pytest.mark.parametrize(
    ("high", "evaluated_high", "num_spikes"),
    [
        pytest.param([9, 10], [12], 1, id="one between the evaluations sees it alone"),
        pytest.param([13], [9], 2, id="both were low in between"),
    ],
)
def test_spikes_of_losses_logged_at_other_steps_are_one_if_they_can_be(
    high: list[int], evaluated_high: list[int], num_spikes: int
) -> None:
    train = [7.0 if step in high else 4.0 for step in range(24)]
    val = [7.0 if step in evaluated_high else 4.0 if step % 3 == 0 else None for step in range(24)]

    assert len(find_instability(curve(range(24), train, val))) == num_spikes


@pytest.mark.parametrize(
    ("loss", "start_step"),
    [
        pytest.param([10.9, 8.0, 6.0, 5.0, 270.0, 120.0, 60.0, 31.0], 4, id="above the start"),
        pytest.param([15.5, 13.0, 3.8, 2.4, 1.4, 5.8, 7.1, 10.0], 5, id="rising at the end"),
        pytest.param([3.3, 3.4, 3.6, 7.3, 4.2, 7.6, NAN], 3, id="ends in no number"),
        pytest.param([3.0, 14.4, 15.3, 12.8, 13.8, 12.8], 1, id="at once"),
        pytest.param([1.2, 1.0, 1.1, 1.2, 1.3, 1.6], 2, id="step by step"),
        pytest.param([*[3.0] * 40, *[3.0 + 0.02 * i for i in range(60)]], 40, id="slowly"),
    ],
)
def test_what_does_not_come_back_has_diverged(loss: list[float], start_step: int) -> None:
    found = only(find_instability(curve(range(len(loss)), loss)), "divergence")

    assert found.start_step == pytest.approx(start_step, abs=20 if len(loss) > 50 else 0)
    assert found.recovered is False
    assert found.severity > 0.5


def test_a_last_point_that_jumps_has_not_diverged_yet() -> None:
    findings = find_instability(curve(range(3), [3.06, 3.11, 7.71]))

    assert [(f.kind.value, f.recovered) for f in findings] == [("spike", False)]


# ------------------------------------------------------------------ numbers that are none


def broken(**columns: Sequence[float | None]) -> Finding | None:
    num = len(next(iter(columns.values())))
    rows = [{name: column[i] for name, column in columns.items()} for i in range(num)]
    return find_lasting_non_finite(Curve(tuple(Point(i, 0, **row) for i, row in enumerate(rows))))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param({"train_loss": [3, 2, NAN, NAN]}, (2, 3, False), id="to the end"),
        pytest.param({"train_loss": [3, NAN, 2, 2]}, (1, 1, True), id="one batch"),
        pytest.param({"val_loss": [3, math.inf]}, (1, 1, False), id="infinite"),
        pytest.param(
            {"train_loss": [2.6, 0, 0, 0], "grad_norm": [NAN] * 4}, (0, 3, False), id="zero and NaN"
        ),
        pytest.param({"train_loss": [2.6, 0, 0, 0, 0]}, (1, 4, False), id="masked as zero"),
        pytest.param({"train_loss": [0.2, 0.01, 0.001, 0, 0, 0]}, None, id="learned by heart"),
        pytest.param(
            {"train_loss": [3, 3, 2.9, 2.8], "grad_norm": [math.inf, math.inf, 1, 1]},
            None,
            id="a scaler's search",
        ),
        pytest.param(
            {"train_loss": [3, 3, 3, 3], "grad_norm": [1, NAN, NAN, NAN]}, (1, 3, False), id="lasts"
        ),
        pytest.param(
            {"train_loss": [3, 2.9, NAN], "grad_norm": [1, NAN, NAN]}, (2, 2, False), id="fatal"
        ),
        pytest.param({"train_loss": [3, 2]}, None, id="healthy"),
    ],
)
def test_broken_numbers_count_where_they_did_harm(
    columns: dict[str, list[float | None]], expected: tuple[int, int, bool] | None
) -> None:
    found = broken(**columns)

    assert (found and (found.start_step, found.end_step, found.recovered)) == expected


# ------------------------------------------------------------------ flat


def test_a_plateau_begins_where_the_last_progress_ended() -> None:
    loss = [*np.linspace(9, 6, 20), *noisy([6.0] * 40, 0.01)]
    found = find_final_plateau(curve(range(60), loss, [x + 0.05 for x in loss]))

    assert found is not None
    assert found.start_step == pytest.approx(20, abs=4)
    assert found.numbers["level"] == pytest.approx(6.05, abs=0.02)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        pytest.param([3.0 - 0.05 * i for i in range(30)], None, id="falling"),
        pytest.param([3.0 - 0.05 * i for i in range(30)], [2.5] * 30, id="validation stands alone"),
        pytest.param(
            noisy([1.02] * 15, 0.02), [1.018 - 0.0009 * i for i in range(15)], id="slow but clean"
        ),
        pytest.param(noisy([1.1] * 15, 0.06), None, id="too noisy to tell"),
        pytest.param([*np.linspace(9, 6, 30), *[6.0] * 20], None, id="less than half"),
    ],
)
def test_progress_is_no_plateau(train: list[float], val: list[float] | None) -> None:
    assert find_final_plateau(curve(range(len(train)), train, val)) is None


def test_warmup_is_not_held_against_a_run() -> None:
    loss = [*[9.0] * 30, *np.linspace(9.0, 5.0, 20)]

    assert find_final_plateau(curve(range(50), loss), since_step=30) is None
    assert find_final_plateau(curve(range(30), loss[:30])) is not None


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_a_plateau_is_one_at_every_scale(scale: float) -> None:
    val = [3.0, 2.0, 1.00, 1.01, 1.0, 1.02, 1.01]
    usual, far = (
        find_final_plateau(
            Curve(tuple(Point(step, 0, val_loss=factor * loss) for step, loss in enumerate(val)))
        )
        for factor in (1.0, scale)
    )

    assert usual is not None and far is not None
    assert far.start_step == usual.start_step
    assert far.numbers["noise_nats"] == pytest.approx(scale * usual.numbers["noise_nats"])


def test_a_run_that_never_fell_below_its_start() -> None:
    found = find_never_learned(curve(range(1, 41), noisy([10.8] * 40, 0.01)))

    assert found is not None
    assert "began at 10.8" in found.evidence
    assert find_never_learned(curve(range(1, 41), np.linspace(10.8, 10.6, 40))) is None


def test_an_excerpt_cannot_tell_whether_a_run_learned() -> None:
    assert find_never_learned(curve(range(400, 440), noisy([1.1] * 40, 0.005))) is None


# ------------------------------------------------------------------ overfitting


@pytest.mark.parametrize(
    ("train", "val", "turn"),
    [
        pytest.param([0.08, 0.02, 0.007, 0.001], [0.263, 0.265, 0.331, 0.351], 0, id="clear"),
        pytest.param([0.9, 0.5, 0.2], [0.85, 0.80, 0.95], 1, id="once, by much"),
        pytest.param([1.09, 0.34], [3.75, 3.90], 0, id="once, with a wide gap"),
        pytest.param([0.9, 0.8, 0.7, 0.6], [0.95, 0.98, 0.985, 0.99], 0, id="slowly but steadily"),
        pytest.param([0.9, 0.8, 0.7, 0.6], [1.0, 0.95, 0.96, 0.955], None, id="wobble"),
        pytest.param([0.9, 0.8, 0.9, 1.1], [1.0, 0.95, 1.1, 1.3], None, id="training rises too"),
        pytest.param([0.9, 0.8, 0.75, 0.7], [1.0, 0.9, 0.85, 0.87], None, id="one small rise"),
    ],
)
def test_overfitting_needs_validation_to_turn_while_training_falls(
    train: list[float], val: list[float], turn: int | None
) -> None:
    found = find_overfit(curve(range(len(train)), train, val))

    assert (found and found.start_step) == turn


def test_overfitting_needs_both_losses() -> None:
    assert find_overfit(curve(range(4), [4, 3, 2, 1])) is None


# ------------------------------------------------------------------ repetition


def test_losses_that_repeat_epoch_by_epoch_mean_weights_that_do_not_move() -> None:
    epoch = [0.9741, 1.3742, 1.2390, 0.9670, 1.0386, 1.1681, 1.2240, 0.9610]
    found = find_weights_not_updating(curve(range(14), [*epoch, *epoch[:6]]))

    assert found is not None
    assert found.numbers == {"period_points": 8, "num_repeats": 6}
    changed = [*epoch, *epoch[:5], 1.1680]
    assert find_weights_not_updating(curve(range(14), changed)) is None


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param([1.0, 1.1, 1.0], id="too short"),
        pytest.param([0.0] * 10, id="masked"),
        pytest.param([0.7, 0.6, 0.7, 0.6, 0.7, 0.6], id="two rounded values"),
        pytest.param(noisy([1.0] * 30), id="noise"),
    ],
)
def test_chance_is_no_repetition(loss: list[float]) -> None:
    assert find_weights_not_updating(curve(range(len(loss)), loss)) is None


def test_one_number_for_every_batch_is_a_repetition() -> None:
    assert find_weights_not_updating(curve(range(6), [10.83] * 6)) is not None


def test_an_evaluation_that_never_moves_while_training_does() -> None:
    moving = [0.14, 0.10, 0.18, 0.04]

    assert find_eval_not_tracking(curve(range(4), moving, [0.3732] * 4)) is not None
    assert find_eval_not_tracking(curve(range(4), moving, [0.3732, 0.3732, 0.3731, 0.3732])) is None
    assert find_eval_not_tracking(curve(range(4), [0.5] * 4, [0.3732] * 4)) is None
    assert find_eval_not_tracking(curve(range(2), moving[:2], [0.3732] * 2)) is None


# ------------------------------------------------------------------ speed


def timed(seconds: Sequence[float], every: int = 10) -> Curve:
    num = len(seconds)
    return curve([every * (i + 1) for i in range(num)], [1.0] * num, step_seconds=seconds)


def test_a_lasting_drop_is_found_at_its_step_and_a_pause_is_none() -> None:
    steady = noisy([0.1] * 60, 0.003)
    slower = [*steady[:30], *[2 * x for x in steady[30:]]]
    paused = [x * (5 if i % 10 == 9 else 1) for i, x in enumerate(steady)]

    found = find_throughput_drop(timed(slower))

    assert found is not None
    assert (found.start_step, found.severity) == (300, pytest.approx(2.0, rel=0.05))
    assert find_throughput_drop(timed(steady)) is None
    assert find_throughput_drop(timed(paused)) is None
    assert find_throughput_drop(timed([9.0, *steady])) is None  # the first step compiles


def test_a_pause_at_the_change_does_not_pass_for_the_new_speed() -> None:
    found = find_throughput_drop(timed([*[0.09] * 20, 1.8, *[0.18] * 20], every=100))

    assert found is not None
    assert found.numbers["after_s"] == pytest.approx(0.18)


def test_a_drop_that_ends_counts_if_it_was_long() -> None:
    brief = [*[0.1] * 40, *[0.2] * 6, *[0.1] * 40]
    long = [*[0.1] * 40, *[0.2] * 40, *[0.1] * 40]

    assert find_throughput_drop(timed(brief)) is None
    found = find_throughput_drop(timed(long))
    assert found is not None
    assert found.recovered is True


def test_slowing_by_small_steps_adds_up() -> None:
    seconds = noisy([*[0.1] * 30, *[0.122] * 30, *[0.145] * 30], 0.0005)

    assert find_throughput_drop(timed(seconds)) is not None


def test_a_last_interval_counts_only_if_it_is_long() -> None:
    speeds = [0.96, 0.95, 0.95, 0.95, 1.61]

    assert find_throughput_drop(timed(speeds, every=500)) is not None
    assert find_throughput_drop(timed(speeds, every=1)) is None
    assert find_throughput_drop(timed([0.95] * 60 + [1.61], every=500)) is None


def test_two_quick_intervals_at_the_start_are_not_the_speed_to_be_held() -> None:
    assert find_throughput_drop(timed([0.014, 0.025, *noisy([0.025] * 40, 0.0003)])) is None


def test_stretches_cover_the_run() -> None:
    stretches = find_speed_stretches(timed([*[0.1] * 30, *[0.2] * 30]))

    assert [(s.start_step, s.end_step, s.num_points) for s in stretches] == [
        (10, 300, 30),
        (300, 600, 30),
    ]
    assert find_speed_stretches(Curve()) == ()
