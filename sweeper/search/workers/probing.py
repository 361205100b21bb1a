"""Measures how many tokens a second workers train together, with more or fewer of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sweeper.errors import WorkerError
from sweeper.search.workers.child import call_in_child
from sweeper.search.workers.nursery import Nursery
from sweeper.search.workers.pool import PoolCrash, run_in_workers, shared_nursery
from sweeper.search.workers.trainers import new_trainer
from sweeper.search.workers.worker_process import following, quiet_signals
from sweeper.study import Choice, Hyperparameters, HyperparameterValue, Range, StudySpec
from sweeper.training.meeting import Meeting, MeetingCancelled
from sweeper.training.setup import PrecisionChoice, Setup

# What more slots must gain over one: a trial that is asked for earlier learns from fewer others.
LEAST_GAIN_OF_SLOTS = 1.1
_CPU_SLOTS = (1, 4, 8)
_GPU_SLOTS = (1, 4, 8, 16, 32)
BLIND_SAMPLERS = ("list", "grid", "random", "qmc")  # samplers that learn nothing from results

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Measurement:
    """What one way to share the machine came to.

    Attributes:
        count: Workers.
        threads: CPU threads of each.
        slots: Trials that each trains at a time.
        tokens_per_s: Of all workers together.
    """

    count: int
    threads: int
    slots: int
    tokens_per_s: float


@dataclass(frozen=True)
class _Order:
    """What a worker is told to measure."""

    spec: StudySpec
    setup: Setup
    slots: tuple[int, ...]
    recipes: tuple[Hyperparameters, ...]
    meeting: Meeting
    parent_pid: int
    nursery: Nursery


class MeasuringStopped(Exception):
    """Somebody said stop before all was measured."""


def measure_ways(
    spec: StudySpec, ways: Sequence[tuple[int, int]], tell: Tell, stop_file: Path
) -> tuple[PrecisionChoice | None, list[Measurement]]:
    """Measure ways to share the machine until the next one is slower than the one before.

    Args:
        spec: The study; its base must be there.
        ways: Numbers of workers, with the threads of each.
        tell: Told how far it is.
        stop_file: When it appears, the measuring ends at once.

    Returns:
        What `precision: auto` came to, and the measurements; a way in which a worker died
        trains no tokens.

    Raises:
        MeasuringStopped: The stop file appeared.
        SweeperError: A worker could not measure, or died in every way.
    """
    measured: list[Measurement] = []
    precision: PrecisionChoice | None = None
    crash: PoolCrash | None = None
    for number, (count, threads) in enumerate(ways):
        tell(f"measuring {count} x {threads} threads", number, len(ways))
        try:
            precision, found = _measure(spec, count, threads, precision, stop_file)
        except PoolCrash as died:  # more workers than this machine has memory for, usually
            crash, found = died, [Measurement(count, threads, 1, 0.0)]
        if stop_file.exists():
            raise MeasuringStopped
        is_slower = _fastest(found) < _fastest(measured)
        measured += found
        if is_slower:
            break
    if _fastest(measured) == 0:
        raise WorkerError(
            f"no worker could train the baseline here: {crash or 'it does not fit the memory'}. "
            "Next: a smaller batch_size or block_size in the study's baseline, or a machine "
            "with more memory"
        )
    tell("measuring", len(ways), len(ways))
    return precision, measured


def best_of(measured: Sequence[Measurement]) -> Measurement:
    """The fastest; one with more slots only where they gain enough over the fastest with one."""
    fastest = max(measured, key=lambda m: m.tokens_per_s)
    alone = max(
        (m for m in measured if m.slots == 1), key=lambda m: m.tokens_per_s, default=fastest
    )
    gains_enough = fastest.tokens_per_s >= LEAST_GAIN_OF_SLOTS * alone.tokens_per_s
    return fastest if gains_enough else alone


def _fastest(measured: Sequence[Measurement]) -> float:
    return max((m.tokens_per_s for m in measured), default=0.0)


def _measure(
    spec: StudySpec, count: int, threads: int, precision: PrecisionChoice | None, stop_file: Path
) -> tuple[PrecisionChoice | None, list[Measurement]]:
    """Tokens a second of all workers together, each measured while the others are."""
    slots = _slots_to_try(spec, count)
    with tempfile.TemporaryDirectory() as folder:
        meeting = Meeting(Path(folder), count, stop_file)
        setup = Setup(threads, 1, precision)
        recipes = probed_recipes(spec)
        orders = [
            _Order(spec, setup, slots, recipes, meeting, os.getpid(), nursery)
            for nursery in (shared_nursery(spec, threads, worker) for worker in range(count))
        ]
        answers = run_in_workers(_probe, orders, threads)
    if stop_file.exists():
        raise MeasuringStopped
    speeds = zip(*(tokens_per_s for _, tokens_per_s in answers), strict=True)
    measured = [
        Measurement(count, threads, n, sum(each)) for n, each in zip(slots, speeds, strict=True)
    ]
    return answers[0][0], measured


def _slots_to_try(spec: StudySpec, count: int) -> tuple[int, ...]:
    if spec.workers.slots != "auto":
        return (spec.workers.slots,)
    to_try = _GPU_SLOTS if new_trainer(spec).has_accelerator() else _CPU_SLOTS
    # A sampler that learns has to see results: at most a quarter of the trials at a time.
    at_a_time = spec.budget.trials // (1 if spec.search.sampler in BLIND_SAMPLERS else 4)
    return tuple(slots for slots in to_try if slots == 1 or slots * count <= at_a_time)


def _probe(order: _Order) -> tuple[PrecisionChoice | None, tuple[float, ...]]:
    """Measure in a worker's child, as trials will be trained there."""
    log = order.meeting.folder / f"{os.getpid()}.log"
    with following(order.parent_pid), quiet_signals():
        found: tuple[PrecisionChoice | None, tuple[float, ...]]
        found = call_in_child(_probe_here, order, order.nursery, log)
    return found


def _probe_here(order: _Order) -> tuple[PrecisionChoice | None, tuple[float, ...]]:
    """Measure at the same time as the others; nothing where somebody said stop."""
    from sweeper.training.probe import probe

    with suppress(MeetingCancelled):
        return probe(order.spec, order.setup, order.slots, order.recipes, order.meeting.wait)
    return None, ()


def probed_recipes(spec: StudySpec) -> tuple[Hyperparameters, ...]:
    """The baseline, and the smallest batch of the space: what they need differs most."""
    smallest: dict[str, HyperparameterValue] = {}
    for name in ("block_size", "batch_size"):
        if (dimension := spec.space.get(name)) is not None:
            smallest[name] = dimension.low if isinstance(dimension, Range) else _least(dimension)
    recipes = (spec.baseline_hyperparameters, spec.hyperparameters_with(smallest))
    return tuple(dict.fromkeys(recipes))


def _least(choice: Choice) -> int:
    return min(value for value in choice.values if isinstance(value, int))
