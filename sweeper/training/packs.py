"""Which pack trains a recipe, and the packs that are in use on a workbench."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

from sweeper.study import Hyperparameters
from sweeper.training.engine import Pack
from sweeper.training.pack import PackDriver
from sweeper.training.solo import SoloPack
from sweeper.training.workbench import Workbench


@dataclass(frozen=True)
class PackKind:
    """One kind of pack.

    Attributes:
        fits: Whether it trains a recipe on a workbench.
        new: Makes one, with the base loaded.
    """

    fits: Callable[[Workbench, Hyperparameters], bool]
    new: Callable[[Workbench], Pack]


def _new_solo(bench: Workbench) -> Pack:
    return SoloPack(bench.new_engine())


# The first that fits a recipe trains it; the last fits all.
KINDS = (PackKind(fits=lambda *_: True, new=_new_solo),)


class Packs:
    """The packs of one workbench, each made when a recipe first asks for its kind."""

    def __init__(self, set_up: Callable[[], Workbench]) -> None:
        self._set_up = set_up
        self._drivers: dict[PackKind, PackDriver] = {}

    @cached_property
    def bench(self) -> Workbench:
        """Where all of them train, set up on its first use."""
        return self._set_up()

    def driver_for(self, hyperparameters: Hyperparameters) -> PackDriver:
        """The driver of the pack that trains a recipe.

        Raises:
            SweeperError: The workbench or the pack cannot be made.
        """
        kind = next(kind for kind in KINDS if kind.fits(self.bench, hyperparameters))
        if kind not in self._drivers:
            self._drivers[kind] = PackDriver(kind.new(self.bench))
        return self._drivers[kind]

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
