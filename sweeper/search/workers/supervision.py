"""A desk and those who train at it in a child: what passes between the two processes.

The child calls the desk's methods by name. What only tells is not waited for, so a step costs no
more than writing a point into a pipe; what asks is answered. Interruptions are not asked for: the
supervisor sends them, and a thread of the child keeps them at hand.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from sweeper.curves import Point, Stop
from sweeper.search.audit import Audit
from sweeper.search.leases import LEASE_SECONDS
from sweeper.search.workers.child import Child, listen, portable
from sweeper.search.workers.desk import Desk, Task, TrialLost, train_at
from sweeper.search.workers.nursery import Nursery
from sweeper.search.workers.pulse import Pulse
from sweeper.study import StudySpec
from sweeper.training.course import Course
from sweeper.training.outcome import Outcome
from sweeper.training.setup import Setup

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class _Call:
    """The child calls a method of the desk.

    Attributes:
        name: The method; `_DONE` is none of them.
        arguments: What it is given.
        is_answered: Whether the child waits for what it returns or raises.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    is_answered: bool = False


@dataclass(frozen=True)
class _Answer:
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class _StopOrder:
    """A trial should stop; it may be read before the answer by which the trial was taken.

    Attributes:
        number: The trial's.
        times_taken: How often the child had taken it then, this time included.
        stop: Why.
    """

    number: int
    times_taken: int
    stop: Stop


_DONE = "done"  # with the defect outside any trial that ended it, if one did


class RemoteDesk:
    """A `Desk` in another process."""

    def __init__(self, calls: Connection, orders: Connection) -> None:
        self._calls = calls
        self._stops: dict[int, _StopOrder] = {}
        self._times_taken: Counter[int] = Counter()
        self._answered_at = time.time()
        listen(orders, self._obey)

    def _obey(self, order: _StopOrder) -> None:
        self._stops[order.number] = order

    def take(self) -> Task | None:
        """See `Desk.take`."""
        task = cast("Task | None", self._ask("take"))
        if task is not None:
            self._times_taken[task.number] += 1
        return task

    def interrupt(self, number: int) -> Stop | None:
        """See `Desk.interrupt`."""
        order = self._stops.get(number)
        is_of_now = order is not None and order.times_taken == self._times_taken[number]
        return order.stop if order is not None and is_of_now else None

    def show(self, number: int, point: Point) -> None:
        """See `Desk.show`; waited for where this process may have been suspended since the last."""
        if time.time() - self._answered_at > LEASE_SECONDS / 4:
            self._ask("show", number, point)
        else:
            self._tell("show", number, point)

    def ask_peers(self, number: int, question: str, *arguments: Any) -> Any:
        """See `Desk.ask_peers`."""
        return self._ask("ask_peers", number, question, *arguments)

    def note_audit(self, number: int, audit: Audit) -> None:
        """See `Desk.note_audit`."""
        self._tell("note_audit", number, audit)

    def settle(self, number: int, ended: Outcome | Exception) -> None:
        """See `Desk.settle`."""
        self._tell("settle", number, portable(ended) if isinstance(ended, Exception) else ended)

    def _tell(self, name: str, *arguments: Any) -> None:
        self._calls.send(_Call(name, arguments))

    def _ask(self, name: str, *arguments: Any) -> Any:
        self._calls.send(_Call(name, arguments, is_answered=True))
        answer: _Answer = self._calls.recv()
        self._answered_at = time.time()
        if answer.error is not None:
            raise answer.error
        return answer.value


def _train(calls: Connection, orders: Connection, spec: StudySpec, setup: Setup) -> None:
    defect: Exception | None = None
    try:
        train_at(RemoteDesk(calls, orders), spec, setup)
    except Exception as error:  # the process's boundary: it is raised beyond it
        defect = portable(error)
    calls.send(_Call(_DONE, (defect,)))


def train_in_child(
    desk: Desk,
    spec: StudySpec,
    setup: Setup,
    nursery: Nursery,
    log: Path,
    in_hand: Callable[[], list[int]],
) -> None:
    """`train_at` in a child.

    Args:
        desk: Where its trials come from.
        spec: Their study.
        setup: What they are trained with.
        nursery: Where the child comes from.
        log: A file that gets what the child prints, while it lives.
        in_hand: Numbers of the trials that the child has.

    Raises:
        ChildDied: It was killed, crashed or hung; the trials in hand are not settled.
    """
    with Child(_train, (spec, setup), nursery, log) as child:
        _Supervisor(desk, spec, child, in_hand).supervise()


class _Supervisor:
    def __init__(
        self, desk: Desk, spec: StudySpec, child: Child, in_hand: Callable[[], list[int]]
    ) -> None:
        self._desk = desk
        self._spec = spec
        self._child = child
        self._in_hand = in_hand
        self._told: set[int] = set()  # trials in hand that were told to stop
        self._times_taken: Counter[int] = Counter()
        self._courses: dict[int, Course] = {}
        self._pulse = None if spec.workers.hang is None else Pulse(spec.workers.hang)
        self._looked_at = time.monotonic()

    def supervise(self) -> None:
        """Serve the child until it is done."""
        while True:
            began = time.monotonic()
            call: _Call | None = self._child.receive(POLL_SECONDS)
            if call is None:
                self._listen_on(time.monotonic() - began)
            elif call.name == _DONE:
                (defect,) = call.arguments
                if defect is not None:
                    raise defect
                return
            else:
                self._feel(call, self._serve(call))
            if time.monotonic() - self._looked_at > POLL_SECONDS:
                self._interrupt()

    def _serve(self, call: _Call) -> Any:
        """What the desk says to a call; the child has it too, if it waits for it."""
        method = getattr(self._desk, call.name)
        if not call.is_answered:
            with suppress(TrialLost):  # which the child is told as an interruption
                return method(*call.arguments)
            return None
        try:
            answer = _Answer(method(*call.arguments))
        except Exception as error:  # the trial's boundary: the child's to meet, as if it were here
            answer = _Answer(error=portable(error))
        if isinstance(answer.value, Task):
            self._times_taken[answer.value.number] += 1
            self._told.discard(answer.value.number)
        self._child.answer(answer)
        return answer.value

    def _feel(self, call: _Call, answer: Any) -> None:
        """Learn from a call that the child is alive."""
        if self._pulse is None:
            return
        if isinstance(answer, Task):
            budget, rungs = self._spec.budget, self._spec.evaluate.rungs
            course = Course.of(answer.hyperparameters, budget.tokens_per_trial, rungs)
            self._courses[answer.number] = course
            self._pulse.begin(answer.number)
        elif call.name == "show":
            number, point = call.arguments
            is_rung_next = self._courses[number].is_rung(point.step + 1)
            self._pulse.beat(number, time.monotonic(), is_rung_next=is_rung_next)
        elif call.name == "settle":
            self._pulse.end(call.arguments[0])

    def _listen_on(self, seconds: float) -> None:
        """Nothing was heard for so long; where that is too long in all, the child hangs."""
        if self._pulse is None:
            return
        self._pulse.tick(seconds)
        hang = self._pulse.hang()
        if hang is not None:
            raise self._child.abort(hang)

    def _interrupt(self) -> None:
        """Send on, once, what the desk would have its trials stop for."""
        self._looked_at = time.monotonic()
        numbers = self._in_hand()
        self._told.intersection_update(numbers)
        for number in numbers:
            if number not in self._told and (stop := self._desk.interrupt(number)) is not None:
                self._child.order(_StopOrder(number, self._times_taken[number], stop))
                self._told.add(number)
