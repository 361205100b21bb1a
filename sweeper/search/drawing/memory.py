"""What memory has been found too small for: learned from trials, and not tried again."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from sweeper.curves import Stop, StopReason
from sweeper.search import attributes as attrs
from sweeper.search.drawing.space import contains, distributions_of
from sweeper.study import Hyperparameters, StudySpec, with_changes


def place_of(spec: StudySpec) -> str:
    """Where a trial of this study finds its memory: the machine, and how many share it."""
    workers = spec.workers
    return f"{socket.gethostname()}, workers {workers.count}, slots {workers.slots}"


def overflowing_batch(recipe: Hyperparameters, micro_batch: int, reason: StopReason) -> int | None:
    """The smallest micro-batch that did not fit in a trial; None where all did.

    Args:
        recipe: The trial's.
        micro_batch: What it had come down to at its end.
        reason: How it ended.
    """
    if reason is StopReason.OUT_OF_MEMORY:
        return micro_batch
    if micro_batch >= recipe.batch_size:
        return None
    size = recipe.batch_size
    while size // 2 > micro_batch:
        size //= 2
    return size


@dataclass(frozen=True)
class _Overflow:
    """A pass that did not fit.

    Attributes:
        number: The trial's.
        micro_batch: Blocks of the pass.
        recipe: What was trained.
    """

    number: int
    micro_batch: int
    recipe: Hyperparameters

    def covers(self, recipe: Hyperparameters, micro_batch: int) -> bool:
        """Whether a pass of that recipe needs no less memory, in anything that needs some.

        Activations grow with the tokens of a pass, attention with the block's length on top.
        """
        tokens, block = micro_batch * recipe.block_size, recipe.block_size
        mine = self.micro_batch * self.recipe.block_size
        return (
            tokens >= mine
            and tokens * block >= mine * self.recipe.block_size
            and recipe.rank >= self.recipe.rank
            and _names(recipe.target_modules) >= _names(self.recipe.target_modules)
            and _names(recipe.train_also) >= _names(self.recipe.train_also)
            and (recipe.dropout > 0 or self.recipe.dropout == 0)
            and (recipe.precision == self.recipe.precision or recipe.precision == "fp32")
        )


def _names(joined: str) -> set[str]:
    return {name for name in joined.split("+") if name}


class MemoryBounds:
    """The passes that did not fit on this machine.

    Our own engines halve a micro-batch that does not fit, so a trial of theirs ends only where
    not even one block fits; a command has to live with the batch size that it is given.

    Args:
        spec: The study.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._place = place_of(spec)
        self._overflows: dict[int, _Overflow] = {}
        self._num_settled = 0

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Learn what is new.

        Args:
            trials: All of the study's, by number.
        """
        for trial in trials[self._num_settled :]:
            overflow = trial.user_attrs.get(attrs.OVERFLOW)
            if overflow is not None and overflow["place"] == self._place:
                recipe = Hyperparameters.model_validate(trial.user_attrs[attrs.HYPERPARAMETERS])
                self._overflows[trial.number] = _Overflow(
                    trial.number, overflow["micro_batch"], recipe
                )
        while self._num_settled < len(trials) and trials[self._num_settled].state.is_finished():
            self._num_settled += 1

    def refusal(self, recipe: Hyperparameters) -> Stop | None:
        """Why a recipe would run out of memory however it is split, if it would."""
        least = 1 if self._spec.command is None else recipe.batch_size
        overflow = self._covering(recipe, least)
        if overflow is None:
            return None
        evidence = (
            f"not trained: trial {overflow.number} ran out of memory on this machine with "
            f"{overflow.micro_batch} x {overflow.recipe.block_size} tokens in a pass, and this "
            f"needs no less with {least} x {recipe.block_size}"
        )
        return Stop(StopReason.OUT_OF_MEMORY, evidence)

    def fitted(self, recipe: Hyperparameters) -> Hyperparameters | None:
        """The recipe, or the same effective batch in smaller passes where its own do not fit.

        None where the space has no split that fits.
        """
        if self._covering(recipe, recipe.batch_size) is None:
            return recipe
        for split in self._splits(recipe):
            if self._covering(split, split.batch_size) is None:
                return split
        return None if self.refusal(recipe) else recipe

    def _covering(self, recipe: Hyperparameters, micro_batch: int) -> _Overflow | None:
        covering = (o for o in self._overflows.values() if o.covers(recipe, micro_batch))
        return next(covering, None)

    def _splits(self, recipe: Hyperparameters) -> Iterator[Hyperparameters]:
        """Smaller passes of the same effective batch within the space, the largest first."""
        space = distributions_of(self._spec)
        if not {"batch_size", "accumulation"} <= space.keys():
            return
        for batch_size in range(recipe.batch_size - 1, 0, -1):
            accumulation, rest = divmod(recipe.effective_batch, batch_size)
            split = {"batch_size": batch_size, "accumulation": accumulation}
            if not rest and all(contains(space[name], value) for name, value in split.items()):
                yield with_changes(recipe, split)
