"""Training speeds of recipes against the baseline's, measured in a worker of the study."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sweeper.search.pool import close_pool, run_in_workers
from sweeper.search.worker_process import following, quiet_signals, was_told_to_stop
from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.setup import Setup


@dataclass(frozen=True)
class _Order:
    """What a worker is told to measure."""

    spec: StudySpec
    setup: Setup
    recipes: tuple[Hyperparameters, ...]
    num_turns: int
    parent_pid: int


def measure_speeds(
    spec: StudySpec, setup: Setup, recipes: Sequence[Hyperparameters], num_turns: int
) -> list[list[float]]:
    """Measure recipes in turn with the baseline, in one worker while no other is at work.

    Args:
        spec: The study; its base must be there.
        setup: What a worker of it trains with.
        recipes: What is compared with the baseline.
        num_turns: How often each is measured.

    Returns:
        As `speed_ratios`; fewer turns where the worker was told to stop.

    Raises:
        PoolCrash: The worker died.
        SweeperError: The study's base or corpus cannot be used.
    """
    order = _Order(spec, setup, tuple(recipes), num_turns, os.getpid())
    if spec.workers.backend == "inline":
        return _measured(order, lambda: True)
    try:
        return run_in_workers(_work, order, 1, setup.threads)[0]
    except BaseException:  # an interruption above all: nobody waits for what it measures
        close_pool(kill=True)
        raise


def _work(order: _Order) -> list[list[float]]:
    with following(order.parent_pid), quiet_signals():
        return _measured(order, lambda: not was_told_to_stop())


def _measured(order: _Order, go_on: Callable[[], bool]) -> list[list[float]]:
    from sweeper.training.pace import speed_ratios

    baseline = order.spec.baseline_hyperparameters
    return speed_ratios(order.spec, order.setup, baseline, order.recipes, order.num_turns, go_on)
