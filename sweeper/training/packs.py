"""Which pack trains a recipe, and the packs that are in use on a workbench."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Literal

from sweeper.models.base import Base
from sweeper.study import Hyperparameters
from sweeper.training.engine import Pack
from sweeper.training.manifest import EngineName
from sweeper.training.pack import PackDriver
from sweeper.training.packed.engine import PackedEngine, fits
from sweeper.training.solo import SoloPack
from sweeper.training.trial import begun_plan
from sweeper.training.workbench import Workbench


def engine_for(
    wanted: Literal["auto", "packed", "peft"], base: Base, hyperparameters: Hyperparameters
) -> EngineName:
    """The engine that trains a recipe: `packed` or `peft`.

    Args:
        wanted: As the study says it; `auto` is the packed engine wherever it can train the
            recipe.
        base: The study's base.
        hyperparameters: The recipe.
    """
    if wanted != "auto":
        return wanted
    return "packed" if fits(base, hyperparameters) else "peft"


def new_pack(engine: EngineName, bench: Workbench, slots: int = 1) -> Pack:
    """A pack with the base loaded.

    Args:
        engine: `packed` or `peft`; peft trains alone, however many slots there are.
        bench: Where it trains.
        slots: Trials at a time.

    Raises:
        BaseError: The engine cannot train on this base.
    """
    if engine == "packed":
        return PackedEngine(bench.base, bench.device, num_seats=slots)
    return SoloPack(bench.new_engine())


def engine_of_run(
    wanted: Literal["auto", "packed", "peft"],
    base: Base,
    hyperparameters: Hyperparameters,
    folder: Path,
) -> EngineName:
    """`engine_for` in a run's folder: a run that has begun goes on with what it began with.

    One engine cannot read the other's checkpoints.

    Raises:
        CheckpointError: The begun run's manifest is damaged.
    """
    begun = begun_plan(folder)
    return begun.engine if begun else engine_for(wanted, base, hyperparameters)


class Packs:
    """The packs of one workbench, each made when a recipe first asks for its engine.

    Args:
        set_up: Makes the workbench.
        engine: As the study says it.
        slots: Trials at a time in a pack.
    """

    def __init__(
        self,
        set_up: Callable[[], Workbench],
        engine: Literal["auto", "packed", "peft"] = "auto",
        slots: int = 1,
    ) -> None:
        self._set_up = set_up
        self._engine = engine
        self.slots = slots
        self._drivers: dict[str, PackDriver] = {}

    @cached_property
    def bench(self) -> Workbench:
        """Where all of them train, set up on its first use."""
        return self._set_up()

    def driver_of(self, engine: EngineName) -> PackDriver:
        """The driver of an engine's pack.

        Raises:
            SweeperError: The workbench or the pack cannot be made.
        """
        if engine not in self._drivers:
            self._drivers[engine] = PackDriver(new_pack(engine, self.bench, self.slots))
        return self._drivers[engine]

    def engine_of_run(self, hyperparameters: Hyperparameters, folder: Path) -> EngineName:
        """The engine that trains a recipe here, in a run's folder.

        Raises:
            SweeperError: The workbench cannot be made, or a begun run's manifest is damaged.
        """
        return engine_of_run(self._engine, self.bench.base, hyperparameters, folder)

    @property
    def have_room(self) -> bool:
        """Whether another recipe may be asked for: a seat is free, or no pack is made yet."""
        return not self._drivers or any(driver.has_room for driver in self._drivers.values())

    @property
    def are_busy(self) -> bool:
        """Whether any recipe is in training."""
        return any(driver.is_busy for driver in self._drivers.values())

    def advance(self) -> None:
        """One round of every pack."""
        for driver in self._drivers.values():
            driver.advance()

    def close(self) -> None:
        """End all runs where they are."""
        with ExitStack() as stack:
            for driver in self._drivers.values():
                stack.callback(driver.close)
