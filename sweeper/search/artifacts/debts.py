"""Ended trials whose files could not be sent: kept by name, on the disk, until they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sweeper.files import write_durably
from sweeper.search.artifacts.origin import read_origin
from sweeper.search.claim import Claim, is_held_by, was_ended_by
from sweeper.search.leases import Lease
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.study import Hyperparameters, StudySpec

_FOLDER = "owed"


def is_owed(spec: StudySpec, number: int) -> bool:
    """Whether this machine has more of an ended trial than the study's place."""
    return (spec.output_folder / _FOLDER / f"{number:04d}").is_file()


class Debts:
    """What the workers in a study's folder owe to its place.

    A worker's debt is paid by any worker in the same folder: the storage believes the one that
    has ended the trial, whose name the debt keeps.

    Args:
        store: The study's.
    """

    def __init__(self, store: StudyStore) -> None:
        self._store = store
        self._folder = store.spec.output_folder / _FOLDER

    def owe(self, claim: Claim) -> None:
        """Keep a trial that is about to end in mind.

        Raises:
            OSError: The folder cannot be written.
        """
        self._folder.mkdir(exist_ok=True)
        debt = {
            "trial_id": claim.trial_id,
            "hyperparameters": claim.hyperparameters.model_dump(mode="json"),
            "lease": claim.lease.as_dict(),
        }
        write_durably(self._path(claim.number), json.dumps(debt).encode())

    def pay(self, send: Callable[[Claim], bool]) -> None:
        """Send what is owed; a trial that is another's by now is owed no more.

        One whose end the storage has not been told of yet is owed still.

        Args:
            send: Sends a trial's files; what it raises leaves this debt and the later ones.
        """
        for number in self.numbers():
            claim = self._claim(number)
            if claim is not None:
                trial = self._store.storage.get_trial(claim.trial_id)
                if is_held_by(trial, claim.lease.owner):
                    continue
                if was_ended_by(trial, claim.lease.owner) and self._is_here(claim):
                    send(claim)
            self._path(number).unlink(missing_ok=True)

    def numbers(self) -> list[int]:
        """Of the trials, ascending."""
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if path.name.isdecimal())

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:04d}"

    def _claim(self, number: int) -> Claim | None:
        try:
            debt = json.loads(self._path(number).read_bytes())
            lease = Lease.read(debt["lease"])
            assert lease is not None, "debts have the lease of who made them"
            recipe = Hyperparameters.model_validate(debt["hyperparameters"])
            return Claim(number, debt["trial_id"], recipe, False, None, lease)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _is_here(self, claim: Claim) -> bool:
        origin = read_origin(trial_folder(self._store.spec, claim.number))
        return origin is not None and origin.owner == claim.lease.owner
