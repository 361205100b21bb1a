"""Every error that a user can meet, in one tree.

    SweeperError                exit code 1
    ├── UsageError              2   wrong flags, or a flag that does not fit the study
    ├── StudyFileError          2   the study file: all its problems at once
    ├── StudyChangedError       2   the file no longer describes the study that is stored
    ├── NoCompletedTrialError   3   a result was asked for and there is none yet
    ├── LogError                1   a training log that cannot be read or understood
    ├── DataError               1   a corpus that cannot be read or is too small
    ├── BaseError               1   a base model that cannot be found or does not fit
    ├── CheckpointError         1   a checkpoint, adapter or manifest that is damaged
    ├── StorageError            1   the study's folder or database cannot be used
    │   └── StorageAwayError    1   its server does not answer, and may another time
    └── WorkerError             1   workers kept dying

A trial's failure (a spike, a NaN, out of memory) is not an error but a value:
see `sweeper.curves.StopReason`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SweeperError(Exception):
    """An error whose message is meant for the person at the terminal.

    The message names the place, the value, what is allowed and the next step.
    """

    exit_code = 1


class UsageError(SweeperError):
    """A command was called in a way that cannot work."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a study file.

    Attributes:
        file: The file as the user named it, or `--set` for an override.
        line: 1-based line, 0 where no place exists (an override).
        column: 1-based column, 0 where no place exists.
        key: Dotted path of the key, such as `space.learning_rate.low`.
        message: What is wrong, with what is allowed in brackets.
    """

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}  {self.key}: {self.message}" if self.key else f"{place}  {self.message}"


class StudyFileError(SweeperError):
    """A study file with one or more problems, all of them listed."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StudyChangedError(SweeperError):
    """The study file differs from the one that the stored study was created with."""

    exit_code = 2


class NoCompletedTrialError(SweeperError):
    """A result was asked for, and no trial has completed."""

    exit_code = 3


class LogError(SweeperError):
    """A training log that cannot be read; the message names the line where there is one."""


class DataError(SweeperError):
    """A corpus that cannot be read, or that is too small for the study."""


class BaseError(SweeperError):
    """A base model that cannot be found, loaded, or adapted."""


class CheckpointError(SweeperError):
    """A checkpoint, adapter or manifest that is missing, damaged or of another make."""


class StorageError(SweeperError):
    """The study's folder or database cannot be read or written."""


class StorageAwayError(StorageError):
    """The storage's server does not answer; it may do so another time."""


class WorkerError(SweeperError):
    """Worker processes died more often than the study tolerates, or none can be started."""
