"""The live pruner's decisions, on curves that are replayed to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sweeper.curves import Point, Stop, StopReason
from sweeper.search.monitor import Monitor
from sweeper.search.peer_rules import Peers
from sweeper.study import Hyperparameters, PruneSpec, Rungs
from sweeper.training.course import Course

STEPS = 200
RUNG_STEPS = 10
TOKENS_PER_STEP = 256
START = 6.0


def monitor(
    *,
    prune: dict[str, Any] | None = None,
    best: float | None = None,
    at_rung: Sequence[float] = (),
    protected: bool = False,
    limit_s: float | None = None,
    **hyperparameters: Any,
) -> Monitor:
    recipe = Hyperparameters.model_validate(
        {"block_size": 32, "batch_size": 8, "schedule": "constant", "seed": 0} | hyperparameters
    )
    return Monitor(
        hyperparameters=recipe,
        course=Course.of(recipe, STEPS * TOKENS_PER_STEP, Rungs(RUNG_STEPS * TOKENS_PER_STEP)),
        prune=PruneSpec.model_validate(prune or {}),
        peers=Peers(lambda: best, lambda _: at_rung, lambda _: []),
        protected=protected,
        limit_s=limit_s,
    )


def healthy(seed: int = 0, num: int = STEPS + 1) -> list[float]:
    steps = np.arange(num)
    noise = 0.03 * np.random.default_rng(seed).standard_normal(num)
    return [float(x) for x in 3.0 + (START - 3.0) * np.exp(-steps / 50) + noise]


def flat(level: float) -> list[float]:
    """A quick start, then nothing."""
    return [max(START - 0.2 * i, level) for i in range(STEPS + 1)]


def shown(
    monitor: Monitor, losses: Sequence[float], val: Sequence[float] | None = None
) -> tuple[int, Stop] | None:
    """Show a curve until the monitor says stop: the step and why; None where it never does."""
    val = losses if val is None else val
    for step, loss in enumerate(losses):
        point = Point(
            step=step,
            tokens=step * TOKENS_PER_STEP,
            train_loss=loss if step else None,
            val_loss=val[step] if step % RUNG_STEPS == 0 else None,
            seconds=float(step),
        )
        if stop := monitor.update(point):
            return step, stop
    return None


def spiked(at: int, height: float, length: int) -> list[float]:
    losses = healthy()
    for step in range(at, min(at + length, len(losses))):
        losses[step] += height
    return losses


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("best", [None, 3.0])
def test_a_healthy_trial_is_never_stopped(seed: int, best: float | None) -> None:
    assert shown(monitor(best=best), healthy(seed)) is None


def test_a_spike_above_the_start_is_stopped_after_half_the_patience() -> None:
    found = shown(monitor(), spiked(100, 10.0, STEPS))

    assert found is not None
    step, stop = found
    assert step == 110  # patience is a tenth of 200 steps
    assert stop.reason == "spike"
    assert "above the starting loss" in stop.evidence
    assert stop.evidence.endswith("not recovered by step 110")


def test_a_spike_below_the_start_is_given_all_of_its_patience() -> None:
    found = shown(monitor(), spiked(100, 1.0, STEPS))

    assert found is not None
    assert found[0] == 120
    assert "below the starting loss" in found[1].evidence


@pytest.mark.parametrize(("height", "length"), [(10.0, 9), (1.0, 19)])
def test_a_spike_that_recovers_in_time_survives(height: float, length: int) -> None:
    assert shown(monitor(), spiked(100, height, length)) is None


def test_patience_and_threshold_are_the_study_files() -> None:
    patient = {"spike": {"patience": 0.2}}
    found = shown(monitor(prune=patient), spiked(100, 1.0, STEPS))
    assert found is not None
    assert found[0] == 140

    deaf = {"spike": {"threshold": 1000.0}, "plateau": "off"}
    found = shown(monitor(prune=deaf), spiked(100, 1.0, STEPS))
    assert found is not None
    assert "the median of 8 losses" in found[1].evidence  # the slower alarm


def test_a_rule_that_is_off_stops_nothing() -> None:
    off = {"spike": "off", "plateau": "off"}

    assert shown(monitor(prune=off, best=0.0), spiked(100, 10.0, STEPS)) is None
    assert shown(monitor(prune=off, best=0.0), flat(5.0)) is None


def test_a_slow_climb_is_stopped() -> None:
    losses = healthy()
    climbing = losses[:80] + [losses[80] + 0.02 * i for i in range(STEPS - 79)]

    found = shown(monitor(), climbing)

    assert found is not None
    assert found[1].reason == "spike"
    assert "nats above its best" in found[1].evidence


def test_nothing_is_stopped_during_warmup() -> None:
    high = [START, *[12.0] * STEPS]

    assert shown(monitor(), high[:100]) is not None
    found = shown(monitor(warmup=100), high)
    assert found is not None
    assert found[0] == 101


def test_a_loss_at_the_last_step_stops_nothing() -> None:
    losses = healthy()
    losses[-20:] = [15.0] * 20

    found = shown(monitor(prune={"spike": {"patience": 0.19}}), losses)

    assert found is None


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("warmup", [0, 100])
def test_a_loss_that_is_no_number_ends_any_trial_at_once(protected: bool, warmup: int) -> None:
    losses = healthy()
    losses[33] = math.nan

    found = shown(monitor(protected=protected, warmup=warmup), losses)

    assert found is not None
    assert (found[0], found[1].reason) == (33, "non_finite")


def test_a_protected_trial_is_stopped_by_nothing_else() -> None:
    all_rules = {"peers": "asha"}
    for losses in (spiked(100, 10.0, STEPS), flat(5.0)):
        free = monitor(prune=all_rules, best=1.0, at_rung=[1.0] * 9)
        kept = monitor(prune=all_rules, best=1.0, at_rung=[1.0] * 9, protected=True)

        assert shown(free, losses) is not None
        assert shown(kept, losses) is None


@pytest.mark.parametrize("protected", [False, True])
def test_a_trial_whose_time_is_up_is_stopped_but_not_at_its_last_step(protected: bool) -> None:
    ended = shown(monitor(limit_s=20.0, protected=protected), healthy())
    assert ended is not None
    assert (ended[0], ended[1].reason) == (21, StopReason.TIMEOUT)
    assert ended[1].evidence.startswith(f"21 s of training by step 21 of {STEPS}, more than the 20")
    assert shown(monitor(limit_s=STEPS - 0.5), healthy()) is None


def test_a_plateau_far_from_the_best_is_stopped_once_the_window_is_full() -> None:
    found = shown(monitor(best=4.0), flat(5.0))

    assert found is not None
    step, stop = found
    assert stop.reason == "plateau"
    assert 80 <= step <= 110  # the window is 80 steps
    assert "nats above the best trial's 4.0000" in stop.evidence


@pytest.mark.parametrize("best", [None, 4.95, 5.5])
def test_a_plateau_near_the_best_survives(best: float | None) -> None:
    assert shown(monitor(best=best), flat(5.0)) is None


def test_a_rate_that_still_falls_earns_a_wider_margin() -> None:
    """0.25 nats behind: too far for a constant rate, not for one with its decay before it."""
    gap = {"best": 4.75, "prune": {"plateau": {"margin": 0.1, "window": 0.4}}}

    constant = shown(monitor(schedule="constant", **gap), flat(5.0))
    linear = shown(monitor(schedule="linear", **gap), flat(5.0))

    assert constant is not None
    assert linear is not None
    assert constant[0] <= 110
    assert linear[0] > 120


def test_the_plateaus_window_begins_after_the_warmup() -> None:
    found = shown(monitor(best=4.0, warmup=50), flat(5.0))

    assert found is not None
    assert found[0] == 130


def test_a_falling_trial_far_from_the_best_survives() -> None:
    falling = [START - 0.01 * i for i in range(STEPS + 1)]

    assert shown(monitor(best=1.0), falling) is None


@pytest.mark.parametrize(
    ("others", "step"),
    [
        ([5.0, 5.5, 6.0], 10),  # one of the best third? no: three are better than 6.2
        ([6.5, 6.6, 6.7], None),
        ([5.0], None),  # two trials are too few to choose from
        ([5.0, 6.5, 6.6, 6.7, 6.8], None),  # second of six
    ],
)
def test_a_third_goes_on_at_each_third_rung(others: list[float], step: int | None) -> None:
    prune = {"peers": "asha", "spike": "off", "plateau": "off"}

    found = shown(monitor(prune=prune, at_rung=others), [6.2] * (STEPS + 1))

    assert (found and found[0]) == step
    if found:
        assert found[1].reason == "peers"
        assert "3 of 3 others were better there" in found[1].evidence


def test_halving_asks_at_rungs_a_factor_of_three_apart() -> None:
    asked: list[int] = []

    def at_rung(tokens: int) -> list[float]:
        asked.append(tokens // (RUNG_STEPS * TOKENS_PER_STEP))
        return []

    watch = monitor(prune={"peers": "asha"})
    watch.peers = Peers(lambda: None, at_rung, lambda _: [])
    shown(watch, healthy())

    assert asked == [1, 3, 9]


LAG_ALONE = {"peers": "lag", "spike": "off", "plateau": "off"}


def leading(watch: Monitor) -> Monitor:
    """With a leader that comes to its end at 4 nats, and warms up over a tenth."""
    curve = [(tokens, START - 2 * (tokens / 51_200) ** 0.3) for tokens in range(0, 51_201, 2_560)]
    watch.peers = Peers(
        lambda: 4.0, lambda _: [], lambda warmup: [curve] if warmup in (None, 0.1) else []
    )
    return watch


@pytest.mark.parametrize(
    ("warmup", "step"),
    [
        (0.1, 10),  # at the first rung, in the warmup that the leader had as well
        (0, 10),
        (0.2, 50),  # once its own, longer warmup is over
    ],
)
def test_laggard_is_judged_in_its_warmup_by_those_alone_that_had_the_same(
    warmup: float, step: int
) -> None:
    found = shown(leading(monitor(prune=LAG_ALONE, warmup=warmup)), [START] * (STEPS + 1))
    assert found is not None
    assert (found[0], found[1].reason) == (step, "peers")


def test_halving_asks_nothing_in_the_warmup() -> None:
    asked: list[int] = []
    watch = monitor(prune={"peers": "asha"}, warmup=0.06)
    watch.peers = Peers(lambda: None, lambda tokens: asked.append(tokens) or [], lambda _: [])
    shown(watch, healthy())
    assert asked == [3 * 2_560, 9 * 2_560]


def test_replayed_points_are_remembered_and_not_judged() -> None:
    losses = spiked(100, 1.0, STEPS)
    live, resumed = monitor(), monitor()
    whole = shown(live, losses)
    for step in range(110):
        resumed.replay(
            Point(
                step=step,
                tokens=step * TOKENS_PER_STEP,
                train_loss=losses[step] if step else None,
                val_loss=losses[step] if step % RUNG_STEPS == 0 else None,
            )
        )
    assert resumed.spike_start_step == 100

    rest = [
        (step, stop)
        for step in range(110, STEPS)
        if (
            stop := resumed.update(
                Point(
                    step=step,
                    tokens=step * TOKENS_PER_STEP,
                    train_loss=losses[step],
                    val_loss=losses[step] if step % RUNG_STEPS == 0 else None,
                )
            )
        )
    ]
    assert rest[0] == whole
