"""What an arm is told to do, and what it gives back: plain values, as JSON between processes."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeper.study import DataSpec, EvaluateSpec, Hyperparameters
from sweeper.training.ground import Ground

VALIDATION_SHARE = 0.05


@dataclass(frozen=True)
class Job:
    """The same list of trials for every arm.

    Attributes:
        model: The base's folder, or an embedded base's name.
        corpus: The corpus's file, or a built-in corpus's name.
        block_size: Of an evaluation block.
        evaluation_tokens: Of the validation set.
        tokens_per_trial: What every trial trains on.
        seed: Of the split; the recipes have their own.
        recipes: One for each trial.
        folder: For what the arm writes; there and empty.
    """

    model: str
    corpus: str
    block_size: int
    evaluation_tokens: int
    tokens_per_trial: int
    seed: int
    recipes: tuple[Hyperparameters, ...]
    folder: Path

    @property
    def ground(self) -> Ground:
        """What all trials stand on."""
        return Ground(self.model, self.data, self.evaluate, self.seed, self.folder)

    @property
    def data(self) -> DataSpec:
        """The corpus, split as every arm splits it."""
        return DataSpec(train=self.corpus, validation=VALIDATION_SHARE)

    @property
    def evaluate(self) -> EvaluateSpec:
        """Judged once, at the end of a trial."""
        return EvaluateSpec(
            block_size=self.block_size,
            every_tokens=self.tokens_per_trial,
            tokens=self.evaluation_tokens,
        )

    def as_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        plain = asdict(self) | {"folder": str(self.folder)}
        return plain | {"recipes": [recipe.model_dump() for recipe in self.recipes]}

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Job:
        """The inverse of `as_dict`."""
        recipes = tuple(Hyperparameters.model_validate(recipe) for recipe in plain["recipes"])
        return cls(**{**plain, "folder": Path(plain["folder"]), "recipes": recipes})


@dataclass(frozen=True)
class TrialRecord:
    """What one trial of an arm came to.

    Attributes:
        val_loss: At its end, in nats; None where it was no number.
        training_s: Inside of training, evaluation left out.
        tokens: Tokens seen.
        stop_reason: As sweeper names it.
    """

    val_loss: float | None
    training_s: float
    tokens: int
    stop_reason: str = "completed"


@dataclass(frozen=True)
class ArmRecord:
    """What an arm took, in seconds.

    Attributes:
        wall_s: From the first trial's set-up (corpus read, base loaded) to the last one's result.
        cpu_s: User and system time of the arm's processes, over `inclusive_s`.
        inclusive_s: The whole call; for ours with the workers' start, and what comes after.
        start_s: Of it, until the first trial is held by a worker; 0 where there are none.
        trials: In the order of the list.
        notes: What the arm chose by itself.
        imports_s: Of `wall_s`, spent on imports; None where they are in other processes.
    """

    wall_s: float
    cpu_s: float
    inclusive_s: float
    start_s: float
    trials: Sequence[TrialRecord]
    notes: Mapping[str, Any]
    imports_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)


class Clock:
    """Wall and CPU time since it was made; the CPU's also of children that were waited for."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = _cpu_s()

    def wall_s(self) -> float:
        return time.perf_counter() - self._wall

    def cpu_s(self) -> float:
        return _cpu_s() - self._cpu


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_rss_mib() -> float:
    """The largest resident set that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def to_json(value: Mapping[str, Any]) -> str:
    """One line; a loss that is no number has become None before."""
    return json.dumps(value, allow_nan=False)
