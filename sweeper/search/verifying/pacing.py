"""Training speeds for the hypotheses about speed, measured in a worker of the study and kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sweeper.errors import StorageError, WorkerError
from sweeper.files import write_durably
from sweeper.search.verifying.verification import BASELINE, FOLDER, Plan, verification_folder
from sweeper.search.workers.child import call_in_child
from sweeper.search.workers.nursery import Nursery
from sweeper.search.workers.pool import PoolCrash, close_pool, run_in_workers, shared_nursery
from sweeper.search.workers.worker_process import following, quiet_signals, was_told_to_stop
from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.setup import Setup

_FILE = "speeds.json"


@dataclass(frozen=True)
class Speeds:
    """Tokens a second, measured in turns.

    Attributes:
        of: By the arm's key, the baseline among them: one number for every turn.
        wall_clock_s: Seconds that measuring took.
    """

    of: dict[str, list[float]] = field(default_factory=dict)
    wall_clock_s: float = 0.0


def read_speeds(spec: StudySpec) -> Speeds:
    """What was measured; nothing where it was not.

    Raises:
        StorageError: The file is damaged.
    """
    path = verification_folder(spec) / _FILE
    if not path.is_file():
        return Speeds()
    try:
        return Speeds(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise StorageError(
            f"{_FILE} in {spec.output_folder.name}/{FOLDER} is damaged. Remove it to measure again"
        ) from error


def measure_speeds(spec: StudySpec, plan: Plan, setup: Setup) -> None:
    """Measure what a plan says of speed, in one worker while no other is at work, and keep it.

    Nothing is kept where the worker was told to stop before the last turn.

    Args:
        spec: The study; its base must be there.
        plan: Its plan, with an arm about speed.
        setup: What a worker of it trains with.

    Raises:
        WorkerError: The worker died.
        SweeperError: The study's base or corpus cannot be used.
    """
    arms = [arm for arm in plan.arms if arm.metric == "speed"]
    recipes = [Hyperparameters.model_validate(arm.hyperparameters) for arm in arms]
    order = _Order(spec, setup, (spec.baseline_hyperparameters, *recipes), plan.turns, os.getpid())
    began = time.monotonic()
    turns = _turns(order)
    if len(turns) < plan.turns:
        return
    keys = [BASELINE, *(arm.key for arm in arms)]
    of = {key: [turn[place] for turn in turns] for place, key in enumerate(keys)}
    content = json.dumps({"of": of, "wall_clock_s": time.monotonic() - began}, indent=2)
    write_durably(verification_folder(spec) / _FILE, content.encode())


@dataclass(frozen=True)
class _Order:
    """What a worker is told to measure."""

    spec: StudySpec
    setup: Setup
    recipes: tuple[Hyperparameters, ...]
    num_turns: int
    parent_pid: int
    nursery: Nursery | None = None


def _turns(order: _Order) -> Sequence[Sequence[float]]:
    if order.spec.workers.backend == "inline":
        return _measured(order)
    order = replace(order, nursery=shared_nursery(order.spec, order.setup.threads, worker=0))
    try:
        return run_in_workers(_work, [order], order.setup.threads)[0]
    except PoolCrash as died:
        raise WorkerError(f"the worker that measured training speeds died: {died}") from died
    except BaseException:  # an interruption above all: nobody waits for what it measures
        close_pool(kill=True)
        raise


def _work(order: _Order) -> Sequence[Sequence[float]]:
    """Measure in a worker's child, as trials are trained there."""
    log = verification_folder(order.spec) / f"{os.getpid()}.log"
    assert order.nursery is not None, "a worker trains in a child"
    with following(order.parent_pid), quiet_signals():
        turns = call_in_child(_measured, order, order.nursery, log, lambda: not was_told_to_stop())
    return turns or []


def _measured(order: _Order) -> Sequence[Sequence[float]]:
    from sweeper.training.pace import speeds_in_turns

    return speeds_in_turns(order.spec, order.setup, order.recipes, order.num_turns, lambda: True)
