"""Where on the token axis every trial is evaluated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rungs:
    """Rungs at even distances, and if wanted some before the first of them.

    What goes wrong goes wrong early: rungs that double from `first_tokens` on let a hopeless trial
    be told from the others before it has cost a whole distance.

    Attributes:
        every_tokens: Distance of the even rungs, 1 or more.
        first_tokens: The first of the early rungs, each of which lies at twice the tokens of the
            one before, as long as that is below `every_tokens`; None: there are none.
    """

    every_tokens: int
    first_tokens: int | None = None

    @property
    def early(self) -> tuple[int, ...]:
        """Tokens of the rungs before the even ones, in order."""
        rungs: list[int] = []
        tokens = self.first_tokens or self.every_tokens
        while tokens < self.every_tokens:
            rungs.append(tokens)
            tokens *= 2
        return tuple(rungs)

    def passed(self, tokens: int) -> int:
        """How many rungs lie at or below so many tokens."""
        return sum(rung <= tokens for rung in self.early) + tokens // self.every_tokens

    def within(self, tokens: int) -> tuple[int, ...]:
        """Tokens of all rungs at or below so many."""
        even = range(self.every_tokens, tokens + 1, self.every_tokens)
        return (*(rung for rung in self.early if rung <= tokens), *even)
