"""Where who trains gets his trials, and asks and tells about them: the supervisor's desk.

The desk stands in the supervisor, which holds the leases and alone writes to the study's storage.
The trials may be trained in the same process, or in a child, by way of `RemoteDesk`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from sweeper.curves import Point, Stop
from sweeper.search.audit import Audit, Audited, is_audited
from sweeper.search.monitor import Monitor
from sweeper.search.peer_rules import Peers
from sweeper.search.workers.trainers import new_trainer
from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.course import Course
from sweeper.training.outcome import Outcome
from sweeper.training.setup import Setup
from sweeper.training.trainer import Assignment, Job
from sweeper.training.watches import Shown, Watch


class TrialLost(Exception):
    """A trial is another worker's by now: whoever trains it here leaves it as it is."""


@dataclass(frozen=True)
class Task:
    """A trial to be trained.

    Attributes:
        number: Its number in the study.
        hyperparameters: Its recipe, with a seed.
        folder: Gets all that it leaves.
        is_protected: Whether only a loss that is no number may end it.
    """

    number: int
    hyperparameters: Hyperparameters
    folder: Path
    is_protected: bool


class Desk(Protocol):
    """The supervisor, as the one who trains sees it; a trial is named by its number."""

    def take(self) -> Task | None:
        """A trial to train; None where there is none now."""

    def interrupt(self, number: int) -> Stop | None:
        """Why a trial should stop after its present step, if it should."""

    def show(self, number: int, point: Point) -> None:
        """Show a trial's newest point, before it is judged and before it is kept.

        Raises:
            TrialLost: Another worker has taken the trial over, and keeps its points.
        """

    def ask_peers(self, number: int, question: str, *arguments: Any) -> Any:
        """What a question of `Peers` comes to, asked for a trial."""

    def note_audit(self, number: int, audit: Audit) -> None:
        """Write down the stop that a trial goes on from."""

    def settle(self, number: int, ended: Outcome | Exception) -> None:
        """Tell once how a trial ended; see `Job.settle`."""


def train_at(desk: Desk, spec: StudySpec, setup: Setup) -> None:
    """Train trials from a desk in this process, until it has none.

    Args:
        desk: Where they come from.
        spec: Their study.
        setup: What they are trained with.
    """

    def take() -> Job | None:
        task = desk.take()
        return None if task is None else _new_job(desk, spec, task)

    new_trainer(spec).work(take, setup)


def _new_job(desk: Desk, spec: StudySpec, task: Task) -> Job:
    number = task.number
    questions = (question.name for question in fields(Peers))
    peers = Peers(**{question: partial(desk.ask_peers, number, question) for question in questions})

    def new_watch(hyperparameters: Hyperparameters, course: Course) -> Watch:
        watch: Watch = Monitor(
            hyperparameters=hyperparameters,
            course=course,
            prune=spec.prune,
            peers=peers,
            protected=task.is_protected,
            limit_s=spec.budget.time_per_trial_s,
        )
        if is_audited(spec, number):
            watch = Audited(watch, partial(desk.note_audit, number))
        return Shown(watch, partial(desk.show, number))

    return Job(
        Assignment(number, task.hyperparameters, task.folder),
        new_watch,
        interrupt=partial(desk.interrupt, number),
        settle=partial(desk.settle, number),
    )
