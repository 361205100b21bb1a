"""Drives a pack: several runs at once, each of which only sees its own answers.

A run is a generator that asks (see `loop.py`). What all of them ask for is done by the pack
together, round by round; a run that ends frees its seat while its neighbours train on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TypeVar

from sweeper.data import Blocks
from sweeper.training.engine import Engine, Gradient, Pack, SeatOutOfMemory
from sweeper.training.loop import Asking, Evaluate, Step, Stepped
from sweeper.training.outcome import Outcome
from sweeper.training.solo import SoloPack
from sweeper.training.trainer import Settle

_Request = TypeVar("_Request", Step, Evaluate)


@dataclass
class _Seated:
    """A run on its seat, and what it waits for."""

    run: Asking[Outcome]
    settle: Settle
    request: Step | Evaluate | None = None


class PackDriver:
    """Lets the runs on the seats of one pack take their steps together."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._seated: dict[int, _Seated] = {}

    @property
    def has_room(self) -> bool:
        """Whether a seat is free."""
        return len(self._seated) < len(self._pack.seats)

    @property
    def is_busy(self) -> bool:
        """Whether a seat is taken."""
        return bool(self._seated)

    def seat(self, new_run: Callable[[Engine], Asking[Outcome]], settle: Settle) -> None:
        """Begin a run on a free seat; there must be one.

        Args:
            new_run: Makes the run for the engine of its seat.
            settle: Told once how it ended, or the exception that ended it; its seat is
                free by then.
        """
        number = next(n for n in range(len(self._pack.seats)) if n not in self._seated)
        run = new_run(self._pack.seats[number])
        self._seated[number] = _Seated(run, settle)
        self._resume(number, lambda: next(run))

    def advance(self) -> None:
        """One round: one optimizer step for every run, and all evaluations before and after."""
        self._answer_evaluations()
        self._answer_steps()
        self._answer_evaluations()

    def close(self) -> None:
        """End all runs where they are; nobody is told."""
        with ExitStack() as stack:
            for seated in self._seated.values():
                stack.callback(seated.run.close)
            self._seated.clear()

    def _answer_evaluations(self) -> None:
        while asked := self._asked(Evaluate):
            seats_of: dict[Blocks, list[int]] = {}
            for seat, request in asked.items():
                seats_of.setdefault(request.blocks, []).append(seat)
            for blocks, seats in seats_of.items():
                self._evaluate(seats, blocks)

    def _evaluate(self, seats: Sequence[int], blocks: Blocks) -> None:
        try:
            losses = self._pack.evaluate(seats, blocks)
        except SeatOutOfMemory as error:  # the others, who wait for their losses, may still fit
            self._throw(error.seat, error)
            return
        except Exception as error:  # a defect of the pack is one of every run in it
            for seat in seats:
                self._throw(seat, error)
            return
        for seat in seats:
            self._send(seat, losses[seat])

    def _answer_steps(self) -> None:
        """Take the step of every run; one whose batch is too big for the memory asks again."""
        seconds = 0.0
        while steps := self._asked(Step):
            began = time.perf_counter()
            try:
                gradients = self._take_steps(steps)
            except SeatOutOfMemory as error:
                seconds += time.perf_counter() - began
                self._throw(error.seat, error)
            except Exception as error:  # a defect of the pack is one of every run in it
                for seat in steps:
                    self._throw(seat, error)
            else:
                seconds += time.perf_counter() - began
                self._tell_steps(steps, gradients, seconds)
                return

    def _take_steps(self, steps: Mapping[int, Step]) -> dict[int, Gradient]:
        gradients = self._pack.accumulate({seat: step.batch for seat, step in steps.items()})
        self._pack.apply({seat: step.learning_rate for seat, step in steps.items()})
        return gradients

    def _tell_steps(
        self, steps: Mapping[int, Step], gradients: Mapping[int, Gradient], seconds: float
    ) -> None:
        """Charge each run by its share of the tokens: what all paid is the time that passed."""
        tokens = {seat: step.batch.blocks.inputs.size for seat, step in steps.items()}
        total_tokens = sum(tokens.values())
        for seat in steps:
            share = tokens[seat] / total_tokens
            self._send(seat, Stepped(gradients[seat], seconds * share))

    def _asked(self, kind: type[_Request]) -> dict[int, _Request]:
        return {
            seat: seated.request
            for seat, seated in self._seated.items()
            if isinstance(seated.request, kind)
        }

    def _send(self, seat: int, answer: Stepped | float) -> None:
        self._resume(seat, lambda: self._seated[seat].run.send(answer))

    def _throw(self, seat: int, error: Exception) -> None:
        self._resume(seat, lambda: self._seated[seat].run.throw(error))

    def _resume(self, seat: int, resume: Callable[[], Step | Evaluate]) -> None:
        """Let a run go on to its next request, or to its end."""
        seated = self._seated[seat]
        ended: Outcome | Exception
        try:
            seated.request = resume()
            return
        except StopIteration as end:
            ended = end.value
        except Exception as error:  # the trial's boundary: it is for its owner to judge
            ended = error
        del self._seated[seat]
        seated.settle(ended)


def train_alone(engine: Engine, run: Asking[Outcome]) -> Outcome:
    """Train one run to its end, and raise what it raises."""
    ended: list[Outcome | Exception] = []
    with closing(PackDriver(SoloPack(engine))) as driver:
        driver.seat(lambda _: run, ended.append)
        while driver.is_busy:
            driver.advance()
    (end,) = ended
    if isinstance(end, Exception):
        raise end
    return end
