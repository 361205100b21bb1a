"""A worker's access to a study's storage: alone, and again while a server is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from optuna.exceptions import StorageInternalError

from sweeper.search.storages.opening import OpenStorage
from sweeper.search.storages.patience import PATIENCE_SECONDS, Patience
from sweeper.search.storages.spool import Note, Spool

_Answer = TypeVar("_Answer")


class Access:
    """Everything that changes a study goes through here.

    Args:
        opened: The storage.
        study: Name of the study in it.
        folder: The study's, which is there by the time that anything is said.
        send: Writes down what a trial's holder says, and tells whether it still holds it; called
            alone, and safe to call twice.
        has_to_leave: See `Patience`.
    """

    def __init__(
        self,
        opened: OpenStorage,
        study: str,
        folder: Path,
        send: Callable[[Note], bool],
        has_to_leave: Callable[[], bool],
    ) -> None:
        self._exclusion = opened.exclusion
        self._study = study
        self._send = send
        self._patience = Patience(PATIENCE_SECONDS if opened.is_remote else 0.0, has_to_leave)
        self._spool = Spool(folder) if opened.is_remote else None

    def opened(self, open_study: Callable[[], _Answer]) -> _Answer:
        """Make or find the study, alone."""

        def attempt() -> _Answer:
            with self._exclusion.held(self._study):
                return open_study()

        return self._patience.persist(attempt)

    def persist(self, action: Callable[[], _Answer]) -> _Answer:
        """Do something until it works, or patience ends; it must be safe to do twice."""
        return self._patience.persist(action)

    def alone(self, action: Callable[[], _Answer], *, persists: bool = True) -> _Answer:
        """Likewise, and while no other worker takes, keeps or ends a trial.

        Args:
            action: What to do.
            persists: False: only once.

        Raises:
            StorageInternalError: It did not work.
        """
        do = self._patience.persist if persists else self._patience.attempt
        return do(lambda: self._alone(action))

    def say(self, note: Note) -> bool:
        """Send what a trial's holder says, or keep it where the storage's server is away.

        Returns:
            False, and nothing sent, where the trial is another's by now.
        """
        try:
            return self._patience.attempt(lambda: self._alone(lambda: self._send(note)))
        except StorageInternalError:
            if self._spool is None:
                raise
            self._spool.keep(note)
            return True

    @property
    def may_be_stale(self) -> bool:
        """Whether an old answer will do where there is no new one: a server is away, and nobody
        takes a trial by it.
        """
        return self._spool is not None and not self._patience.is_inside

    def _alone(self, action: Callable[[], _Answer]) -> _Answer:
        with self._exclusion.held(self._study):
            if self._spool is not None:  # before anybody takes a trial whose end lies there
                self._spool.send(self._send)
            return action()
