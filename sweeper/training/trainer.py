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
from sweeper.training.watches import Watch

Report = Callable[[str, int, int], None]  # what is done, how far, of how much
Observe = Callable[[Point, int], None]  # the newest point, and the tokens of the whole run
Interrupt = Callable[[], Stop | None]
NewWatch = Callable[[Hyperparameters, Course], Watch]


@dataclass(frozen=True)
class Assignment:
    """One trial to be trained.

    Attributes:
        number: Its number in the study.
        hyperparameters: Its recipe, with a seed.
        folder: Gets all that it leaves, `manifest.json` and `curve.jsonl` among it; what an
            interrupted run left there is gone on from.
        threads: CPU threads that it may use.
    """

    number: int
    hyperparameters: Hyperparameters
    folder: Path
    threads: int


class Trainer(Protocol):
    """Trains the trials of one study, one at a time in a process."""

    def prepare(self, report: Report) -> None:
        """Make what all trials share, once and before any worker starts.

        Args:
            report: Told how far it is, where it takes long.

        Raises:
            SweeperError: No trial of the study could be trained.
        """

    def has_accelerator(self) -> bool:
        """Whether trials train on one device that they would have to share."""

    def train(self, assignment: Assignment, new_watch: NewWatch, interrupt: Interrupt) -> Outcome:
        """Train one trial to its end.

        Args:
            assignment: What to train.
            new_watch: Makes the one that sees every point and may end the trial, for the
                recipe as it is resolved and its course.
            interrupt: Asked often; what it returns ends the trial where it can be resumed.

        Raises:
            SweeperError: The study cannot go on as it is.
            OSError: The folder cannot be written.
        """
