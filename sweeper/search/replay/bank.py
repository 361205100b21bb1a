"""Full-length curves of a whole space in one file, so that searching it costs no training.

Shapes: R runs, P points of all runs one after the other, T training losses and E evaluations
likewise.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.curves import Curve, Point
from sweeper.errors import UsageError
from sweeper.files import write_durably
from sweeper.study import Hyperparameters, Rungs, experiment_values
from sweeper.training.course import Course

FORMAT = 1
# Losses are kept in steps of half a thousandth of a nat: far below their noise, and in 16 bits.
_UNITS_PER_NAT = 2000
_MOST_UNITS = 2**16 - 2
_NO_NUMBER = 2**16 - 1
_NEAREST = ("learning_rate", "seed")  # found by nearness and by choice; all else exactly


@dataclass(frozen=True)
class Run:
    """A run that was trained to its whole length, or until its loss was no number.

    Attributes:
        hyperparameters: Its recipe.
        curve: Losses and seconds at every step; step 0 is the base.
    """

    hyperparameters: Hyperparameters
    curve: Curve

    @property
    def final_val_loss(self) -> float:
        """In nats; infinite where it did not come to its end with a number."""
        last = self.curve.points[-1].val_loss
        return math.inf if last is None or not math.isfinite(last) else last


@dataclass(frozen=True)
class Bank:
    """All runs of one space, on the same data, with the same rungs.

    Attributes:
        tokens_per_trial: Budget of each run.
        rungs: Where every run was evaluated.
        source: Name of the study that recorded it, and the digest of its file.
        runs: In the order of their recording.
    """

    tokens_per_trial: int
    rungs: Rungs
    source: tuple[str, str]
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """With which every recipe was trained."""
        return tuple(sorted({run.hyperparameters.seed or 0 for run in self.runs}))

    @cached_property
    def even(self) -> Bank:
        """The same runs without what was evaluated before the first even rung."""
        if not self.rungs.early:
            return self
        rungs = Rungs(self.rungs.every_tokens)
        runs = (Run(r.hyperparameters, self._evaluated_at(rungs, r)) for r in self.runs)
        return replace(self, rungs=rungs, runs=tuple(runs))

    def _evaluated_at(self, rungs: Rungs, run: Run) -> Curve:
        course = Course.of(run.hyperparameters, self.tokens_per_trial, rungs)
        last = run.curve.points[-1]
        return Curve(
            tuple(
                point
                if point is last or course.is_rung(point.step)
                else replace(point, val_loss=None)
                for point in run.curve.points
            )
        )

    def best_val_loss(self, seed: int) -> float:
        """Lowest final loss of all runs of a seed, in nats."""
        return min(r.final_val_loss for r in self.runs if r.hyperparameters.seed == seed)

    def find(self, hyperparameters: Hyperparameters, seed: int) -> Run:
        """The recorded run that stands for a recipe.

        All but the learning rate is as asked, where only the product of batch size and
        accumulation counts; the learning rate is the nearest on a logarithmic scale.

        Args:
            hyperparameters: The recipe; its own seed does not matter.
            seed: One of the recorded ones.

        Raises:
            UsageError: No recorded run is like it but for the learning rate.
        """
        runs = self._runs_by_key.get((_key(hyperparameters), seed))
        if not runs:
            raise UsageError(self._lacking(hyperparameters, seed))
        wanted = math.log(hyperparameters.learning_rate)
        return min(runs, key=lambda r: abs(math.log(r.hyperparameters.learning_rate) - wanted))

    def _lacking(self, wanted: Hyperparameters, seed: int) -> str:
        values = experiment_values(wanted)
        there = [experiment_values(run.hyperparameters) for run in self.runs]
        for name, value in values.items():
            allowed = sorted({of_run[name] for of_run in there if name in of_run}, key=str)
            if name not in _NEAREST and value not in allowed:
                listed = ", ".join(map(str, allowed))
                return f"the bank has no run with {name}: {value} (allowed: {listed})"
        return f"the bank has no run of seed {seed} with {values}"

    @cached_property
    def _runs_by_key(self) -> Mapping[tuple[str, int | None], Sequence[Run]]:
        by_key: dict[tuple[str, int | None], list[Run]] = defaultdict(list)
        for run in self.runs:
            by_key[_key(run.hyperparameters), run.hyperparameters.seed].append(run)
        return by_key


def _key(hyperparameters: Hyperparameters) -> str:
    values = experiment_values(hyperparameters)
    return json.dumps({k: v for k, v in values.items() if k not in _NEAREST}, sort_keys=True)


# --- the file --------------------------------------------------------------------------------


def write_bank(bank: Bank, path: Path) -> None:
    """Write a bank as numpy arrays in a compressed zip file."""
    about = {
        "format": FORMAT,
        "tokens_per_trial": bank.tokens_per_trial,
        "every_tokens": bank.rungs.every_tokens,
        "first_tokens": bank.rungs.first_tokens,
        "source": list(bank.source),
        "recipes": [run.hyperparameters.model_dump(mode="json") for run in bank.runs],
    }
    points = [run.curve.points for run in bank.runs]
    arrays = {
        "about": np.array(json.dumps(about)),
        "num_steps_R": np.array([p[-1].step for p in points], dtype=np.int32),
        "seconds_R": np.array([p[-1].seconds or 0.0 for p in points], dtype=np.float32),
        "is_evaluated_P": np.array([p.val_loss is not None for run in points for p in run]),
        "train_loss_T": _packed(p.train_loss for run in points for p in run[1:]),
        "val_loss_E": np.array(
            [p.val_loss for run in points for p in run if p.val_loss is not None], dtype=np.float32
        ),
    }
    write_durably(path, _zipped(arrays))


def _zipped(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_bank(path: Path) -> Bank:
    """Read what `write_bank` wrote.

    Seconds are spread evenly over a run's steps.

    Raises:
        UsageError: The file is not there, is damaged, or is no bank.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            if about["format"] != FORMAT:
                raise UsageError(
                    f"{path.name}: a bank of format {about['format']} (allowed: {FORMAT}); record "
                    "it again, or take the version of sweeper that made it"
                )
            return _bank_from(about, {name: arrays[name] for name in arrays.files})
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file") from error
    except (OSError, ValueError, KeyError, StopIteration, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path.name} is damaged, or is no bank: {error}") from error


def _bank_from(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Bank:
    tokens = about["tokens_per_trial"]
    rungs = Rungs(about["every_tokens"], about.get("first_tokens"))
    train_losses = iter(_unpacked(arrays["train_loss_T"]))
    val_losses = iter(arrays["val_loss_E"].tolist())
    is_evaluated = iter(arrays["is_evaluated_P"].tolist())
    runs = []
    for recipe, num_steps, seconds in zip(
        about["recipes"], arrays["num_steps_R"].tolist(), arrays["seconds_R"].tolist(), strict=True
    ):
        hyperparameters = Hyperparameters.model_validate(recipe)
        course = Course.of(hyperparameters, tokens, rungs)
        points = []
        for step in range(num_steps + 1):
            points.append(
                Point(
                    step=step,
                    tokens=course.tokens_after(step),
                    train_loss=next(train_losses) if step else None,
                    val_loss=next(val_losses) if next(is_evaluated) else None,
                    seconds=seconds * step / num_steps if num_steps else 0.0,
                )
            )
        runs.append(Run(hyperparameters, Curve(tuple(points))))
    if next(train_losses, None) is not None or next(val_losses, None) is not None:
        raise ValueError("more losses than steps")
    return Bank(tokens, rungs, tuple(about["source"]), tuple(runs))


def _packed(losses: Iterable[float | None]) -> NDArray[np.uint16]:
    values = np.array([math.nan if loss is None else loss for loss in losses], dtype=np.float64)
    units = np.clip(np.nan_to_num(values, nan=0.0) * _UNITS_PER_NAT, 0, _MOST_UNITS).round()
    return np.where(np.isfinite(values), units, _NO_NUMBER).astype(np.uint16)


def _unpacked(units_T: NDArray[np.uint16]) -> list[float]:
    values = np.where(units_T == _NO_NUMBER, math.nan, units_T / _UNITS_PER_NAT)
    return [float(value) for value in values]
