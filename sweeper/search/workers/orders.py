"""What a worker is told, and what it says in the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from optuna.exceptions import StorageInternalError

from sweeper.errors import StorageError, SweeperError, WorkerError
from sweeper.search.storages.opening import storage_error
from sweeper.search.workers.nursery import Nursery
from sweeper.study import StudySpec
from sweeper.training.setup import Setup

# What no trial can help: the study ends here, and goes on when it is mended.
STUDY_ERRORS = (SweeperError, OSError, StorageInternalError)


@dataclass(frozen=True)
class WorkOrder:
    """What a worker is told; plain values, so that it can start in another process.

    Attributes:
        spec: The study.
        setup: What it trains with.
        deadline: Unix time in seconds at which the study's wall clock is spent; None: never.
        stop_file: When it appears, the worker leaves after its step.
        parent_pid: The process without which the worker leaves; None: none.
        nursery: Where the process comes from that it trains in; None: it trains in this one.
    """

    spec: StudySpec
    setup: Setup
    deadline: float | None
    stop_file: Path
    parent_pid: int | None
    nursery: Nursery | None = None


@dataclass(frozen=True)
class WorkReport:
    """How a worker ended: an error's message and exit code, or neither.

    Attributes:
        error: The message.
        exit_code: As the program says it.
        has_died: Whether it was ended in the midst of its work; others can go on with that.
    """

    error: str | None = None
    exit_code: int = 0
    has_died: bool = False

    @classmethod
    def of_error(cls, error: Exception, spec: StudySpec) -> WorkReport:
        """Of one that met what no trial can help, one of `STUDY_ERRORS`."""
        match error:
            case SweeperError():
                return cls(str(error), error.exit_code)
            case StorageInternalError():
                return cls(str(storage_error(error)), StorageError.exit_code)
            case OSError():
                return cls(_disk_message(error, spec), StorageError.exit_code)
        raise error

    @classmethod
    def of_death(cls, how: str) -> WorkReport:
        """Of one that cannot say anything itself."""
        return cls(how, WorkerError.exit_code, has_died=True)


def raise_error_of(report: WorkReport) -> None:
    """Raise what ended a worker, where anything did."""
    if report.error is not None:
        error = SweeperError(report.error)
        error.exit_code = report.exit_code
        raise error


def _disk_message(error: OSError, spec: StudySpec) -> str:
    where = Path(error.filename).name if error.filename else spec.output_folder.name
    return (
        f"{where} cannot be written or read ({error.strerror or error}). Nothing is lost: make "
        "room or give access, then run the study again and it goes on from its checkpoints"
    )
