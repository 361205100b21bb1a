"""How a budget of tokens becomes steps and rungs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweeper.study import Hyperparameters, Rungs


@dataclass(frozen=True)
class Course:
    """How a budget of tokens becomes steps.

    A run sees whole blocks only: it ends within one block of its budget. Its
    last step is short where the blocks do not fill it.

    Attributes:
        num_blocks: Blocks of the whole run.
        block_size: Tokens per block.
        effective_batch: Blocks per step.
        rungs: Where it is evaluated, beside its start and its end.
    """

    num_blocks: int
    block_size: int
    effective_batch: int
    rungs: Rungs

    @classmethod
    def of(cls, hyperparameters: Hyperparameters, tokens: int, rungs: Rungs) -> Course:
        """The course of a recipe over a budget of tokens."""
        return cls(
            hyperparameters.blocks_within(tokens),
            hyperparameters.block_size,
            hyperparameters.effective_batch,
            rungs,
        )

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return math.ceil(self.num_blocks / self.effective_batch)

    @property
    def total_tokens(self) -> int:
        """Tokens seen at the end."""
        return self.num_blocks * self.block_size

    def blocks_of(self, step: int) -> tuple[int, int]:
        """First block and number of blocks of a step (0 for the first step)."""
        first = step * self.effective_batch
        return first, min(self.effective_batch, self.num_blocks - first)

    def tokens_after(self, num_steps: int) -> int:
        """Tokens seen after so many steps."""
        return min(num_steps * self.effective_batch, self.num_blocks) * self.block_size

    def is_rung(self, num_steps: int) -> bool:
        """Whether the validation set is due after so many steps: a rung was passed, or the end."""
        if num_steps in (0, self.total_steps):
            return True
        before, now = self.tokens_after(num_steps - 1), self.tokens_after(num_steps)
        return self.rungs.passed(before) < self.rungs.passed(now)
