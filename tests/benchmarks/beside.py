"""What a packed trial's own process spends beside its steps: its set-up, and its evaluations.

The first trials of the default study, whole, in one warm process that begins as a worker's child
does, and by the door that it goes through; who holds the trials is left out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweeper.curves import StopReason
from sweeper.search.workers.child import call_in_child
from sweeper.search.workers.pool import nursery_of
from sweeper.search.workers.trainers import new_trainer
from sweeper.study import Hyperparameters, StudySpec, load_study
from sweeper.training.outcome import Outcome
from sweeper.training.pack import PackDriver
from sweeper.training.packed.engine import PackedEngine
from sweeper.training.setup import Setup
from sweeper.training.trainer import Assignment, Job
from sweeper.training.watches import Lookout
from tests.benchmarks.journal import ROOT


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Set-ups in milliseconds by trial, and the evaluations' share of the time in training.

    Args:
        payload: `recipes`, `slots`, `tokens` of each trial, and a `folder`.
    """
    nursery = nursery_of(_spec(payload), threads=1)
    found: dict[str, Any] = call_in_child(
        _measured, payload, nursery, Path(payload["folder"]) / "child.log"
    )
    return found


def _spec(payload: Mapping[str, Any]) -> StudySpec:
    overrides = [f"budget.tokens_per_trial={payload['tokens']}", f"output={payload['folder']}/out"]
    return load_study(ROOT / "studies" / "plateau.yaml", overrides)


def _measured(payload: Mapping[str, Any]) -> dict[str, Any]:
    recipes = [Hyperparameters.model_validate(recipe) for recipe in payload["recipes"]]
    spec = _spec(payload)
    trainer = new_trainer(spec)
    trainer.prepare(lambda *_: None)
    found = _Stopwatch()
    outcomes: list[Outcome | Exception] = []
    jobs = _jobs(spec, recipes, outcomes)
    with found.timing(PackDriver, "seat"), found.timing(PackedEngine, "evaluate"):
        began = time.perf_counter()
        trainer.work(lambda: next(jobs, None), Setup(threads=1, slots=payload["slots"]))
        whole_s = time.perf_counter() - began
    assert all(_is_completed(outcome) for outcome in outcomes), outcomes
    setups_s = found.seconds["seat"]
    return {
        "num_trials": len(outcomes),
        "slots": payload["slots"],
        "tokens_per_trial": payload["tokens"],
        # The first also reads the base's own loss, and what is measured once on a machine.
        "first_setup_ms": 1000 * setups_s[0],
        "setup_ms": 1000 * statistics.median(setups_s[1:]),
        "slowest_setup_ms": 1000 * max(setups_s[1:]),
        "evaluation_s": sum(found.seconds["evaluate"]),
        "whole_s": whole_s,
    }


class _Stopwatch:
    """Times the calls of methods.

    Attributes:
        seconds: Of every call, by the method's name.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def timing(self, owner: type, name: str) -> Iterator[None]:
        """Time a method while the context lasts."""
        method: Callable[..., Any] = getattr(owner, name)
        kept = self.seconds.setdefault(name, [])

        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                kept.append(time.perf_counter() - began)

        setattr(owner, name, timed)
        try:
            yield
        finally:
            setattr(owner, name, method)


def _jobs(
    spec: StudySpec, recipes: Sequence[Hyperparameters], outcomes: list[Outcome | Exception]
) -> Iterator[Job]:
    for number, recipe in enumerate(recipes):
        folder = spec.output_folder / "trials" / f"{number:04d}"
        folder.mkdir(parents=True)
        yield Job(
            Assignment(number, recipe, Path(folder)),
            new_watch=lambda _recipe, _course: Lookout(),
            interrupt=lambda: None,
            settle=outcomes.append,
        )


def _is_completed(outcome: Outcome | Exception) -> bool:
    return isinstance(outcome, Outcome) and outcome.stop.reason is StopReason.COMPLETED
