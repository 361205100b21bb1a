"""Where a fault happens, and the study to which nothing has happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.study import StudySpec, load_study
from tests.faults.crew import finish, prepared

NewStudy = Callable[..., StudySpec]


@dataclass(frozen=True)
class Field:
    """Folders for one fault.

    Attributes:
        folder: Its own.
        shared: One for all faults, in which the uninterrupted studies lie.
    """

    folder: Path
    shared: Path

    def whole(self, new_study: NewStudy, num_trials: int = 12) -> StudySpec:
        """A study after one worker to which nothing happened; trained once for all faults.

        A shorter study of the same kind has the same trials, as far as it goes.
        """
        folder = self.shared / f"{new_study.__name__}-{num_trials}"
        if folder.exists():
            return load_study(folder / "study.yaml")
        spec = new_study(folder, num_trials)
        finish(prepared(spec))
        return spec

    def struck(
        self, new_study: NewStudy, number: int, num_trials: int, *more: Any, **changes: Any
    ) -> StudySpec:
        """The next study for the fault to happen to."""
        return new_study(self.folder / f"struck-{number}", num_trials, *more, **changes)
