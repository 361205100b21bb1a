"""Points of a log as it grows: the parts of one step put together, tokens and time filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any

from sweeper.curves import Point

_JUDGED = ("train_loss", "val_loss", "grad_norm")
_MEASURED = tuple(f.name for f in fields(Point) if f.name not in {"step", "tokens"})


def merged(point: Point, later: Point) -> Point:
    """A point with what a later part of the same step says; where both speak, the later counts."""
    said: dict[str, Any] = {
        name: getattr(later, name) for name in _MEASURED if getattr(later, name) is not None
    }
    return replace(point, tokens=point.tokens or later.tokens, **said)


def news_of(later: Point, point: Point) -> Point | None:
    """Only what a later part of a step adds to its point; None where that is nothing to judge."""
    news: dict[str, Any] = {
        name: getattr(later, name) if getattr(point, name) is None else None for name in _MEASURED
    }
    is_empty = all(news[name] is None for name in _JUDGED)
    return None if is_empty else replace(later, **news)


class Gathering:
    """Makes whole points of the parts in which a log tells them.

    Scripts print a step's training loss and its validation loss in lines of their own. A step is
    whole when a later one begins.

    Args:
        tokens_per_step: For logs that count no tokens.
        seconds: The time since the training began, for logs that have none; given the step.
    """

    def __init__(self, tokens_per_step: int, seconds: Callable[[int], float]) -> None:
        self._tokens_per_step = tokens_per_step
        self._seconds = seconds
        self._part: Point | None = None

    def add(self, parts: Iterable[Point]) -> list[Point]:
        """Take parts in the order in which they came.

        Returns:
            The steps that are whole now, in the same order.
        """
        whole: list[Point] = []
        for part in map(self._timed, parts):
            if self._part is not None and part.step == self._part.step:
                self._part = merged(self._part, part)
            else:
                whole += self.flush()
                self._part = part
        return whole

    def flush(self) -> list[Point]:
        """The step in hand, for when no more of it is to be expected."""
        part, self._part = self._part, None
        if part is None:
            return []
        return [replace(part, tokens=part.tokens or part.step * self._tokens_per_step)]

    def _timed(self, part: Point) -> Point:
        if part.seconds is not None:
            return part
        return replace(part, seconds=self._seconds(part.step))
