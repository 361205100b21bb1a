"""What trains a study's trials: the seam between the search and whatever does the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sweeper.curves import Point, Stop
from sweeper.study import Hyperparameters
from sweeper.training.course import Course
from sweeper.training.outcome import Outcome
from sweeper.training.setup import Setup
from sweeper.training.watches import Watch

Report = Callable[[str, int, int], None]  # what is done, how far, of how much
Observe = Callable[[Point, int], None]  # the newest point, and the tokens of the whole run
Interrupt = Callable[[], Stop | None]
NewWatch = Callable[[Hyperparameters, Course], Watch]
Settle = Callable[[Outcome | Exception], None]  # how a trial ended, or what it raised


@dataclass(frozen=True)
class Assignment:
    """One trial to be trained.

    Attributes:
        number: Its number in the study.
        hyperparameters: Its recipe, with a seed.
        folder: Gets all that it leaves, `manifest.json` and `curve.jsonl` among it; what an
            interrupted run left there is gone on from.
    """

    number: int
    hyperparameters: Hyperparameters
    folder: Path


@dataclass(frozen=True)
class Job:
    """An assignment, and whom a trainer asks and tells while it works on it.

    Attributes:
        assignment: What to train.
        new_watch: Makes the one that sees every point and may end the trial, for the
            recipe as it is resolved and its course.
        interrupt: Asked often; what it returns ends the trial where it can be resumed.
        settle: Told once how the trial ended. A `SweeperError` or `OSError` means that
            the study cannot go on as it is, another exception a defect of this trial.
    """

    assignment: Assignment
    new_watch: NewWatch
    interrupt: Interrupt
    settle: Settle


Take = Callable[[], Job | None]


class Trainer(Protocol):
    """Trains the trials of one study in one process, several at a time where it can."""

    def prepare(self, report: Report) -> None:
        """Make what all trials share, once and before any worker starts.

        Args:
            report: Told how far it is, where it takes long.

        Raises:
            SweeperError: No trial of the study could be trained.
        """

    def has_accelerator(self) -> bool:
        """Whether trials train on one device that they would have to share."""

    def work(self, take: Take, setup: Setup) -> None:
        """Work through jobs until there are no more; each is settled, whatever becomes of it.

        Args:
            take: Gives the next job as soon as there is room for one. After a None it is
                asked again only when a job has ended, and not at all where none is in hand.
            setup: What the trials have to train with, together in this process.
        """
