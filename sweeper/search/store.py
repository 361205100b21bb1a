"""The study in Optuna's storage: taking its trials, and telling how they ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from sweeper.curves import Stop
from sweeper.errors import StorageError
from sweeper.search import attributes as attrs
from sweeper.search.artifacts.record import known_lost
from sweeper.search.audit import Audit
from sweeper.search.claim import Claim
from sweeper.search.drawing.admission import Admission
from sweeper.search.drawing.earlier import earlier_trials
from sweeper.search.drawing.proposals import Rules
from sweeper.search.leases import Lease
from sweeper.search.opening import open_study
from sweeper.search.outcomes import Result
from sweeper.search.records import Records
from sweeper.search.storage import (
    has_begun,
    make_folder,
    storage_address,
)
from sweeper.search.storages.access import Access
from sweeper.search.storages.exclusion import FileExclusion
from sweeper.search.storages.opening import OpenStorage, open_storage
from sweeper.search.storages.spool import Note
from sweeper.search.taking import Taking
from sweeper.study import StudySpec


class StudyStore:
    """One study in its storage.

    Args:
        spec: The study.
        create: Make it where it does not exist.
        storage: Where it is stored; None: where the study says.
        has_to_leave: Whether not to wait any longer for a storage's server that is away.

    Raises:
        StorageError: It does not exist, or its storage cannot be used.
        StudyChangedError: The stored study was made from another study file.
    """

    def __init__(
        self,
        spec: StudySpec,
        *,
        create: bool,
        storage: BaseStorage | None = None,
        has_to_leave: Callable[[], bool] = lambda: False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.spec = spec
        self._earlier_trials: list[FrozenTrial] | None = None
        if create:
            self._earlier()  # before anything is made, if it is to be refused
        elif not has_begun(spec):
            raise StorageError(
                f"{spec.name} has not been run yet: there is no study in its folder "
                f"{spec.output_folder.parent.name}/{spec.output_folder.name}. "
                f"Next: sweeper run {spec.path.name}"
            )
        if create or spec.artifacts is not None:
            make_folder(spec.output_folder)
        opened = open_storage(storage_address(spec)) if storage is None else _lent(spec, storage)
        self.storage = opened.storage
        self._access = Access(
            opened, spec.folder_name, spec.output_folder, self._send, has_to_leave
        )
        admission = Admission(spec)
        rules = Rules(admission.admit, admission.spare, self._earlier)
        study = self._access.opened(lambda: open_study(spec, self.storage, rules, create=create))
        self._records = Records(spec, study, self.storage, lambda: self._access.may_be_stale)
        self._taking = Taking(self._records, admission)

    def _earlier(self) -> list[FrozenTrial]:
        """Read once, by who is to draw."""
        if self._earlier_trials is None:
            self._earlier_trials = earlier_trials(self.spec)
        return self._earlier_trials

    @property
    def study(self) -> optuna.Study:
        """Optuna's own study."""
        return self._records.study

    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order of their numbers.

        While the storage's server is away, those who only look on see what was there before.
        """
        return self._records.trials()

    # ------------------------------------------------------------------ taking trials

    def claim(self, owner: str) -> Claim | None:
        """Take a trial to work on: one that was left behind, or else a new one.

        Returns:
            None where the budget is spent, and what was left behind waits for an equal trial
            that another holds.
        """
        return self._access.alone(lambda: self._taking.take(owner))

    def may_claim(self) -> bool:
        """Whether there is anything for a worker to do now."""
        return self._taking.may_take()

    def may_ask(self) -> bool:
        """Whether the budget allows another trial to begin."""
        return self._taking.may_ask()

    def is_exhausted(self) -> bool:
        """Whether all that the space holds was tried, or cannot be: there is nothing to draw."""
        return self._taking.is_exhausted()

    def same_experiment(self, claim: Claim) -> FrozenTrial | None:
        """An earlier completed trial that was the same experiment in another guise."""
        return self._taking.same_experiment(claim)

    def memory_refusal(self, claim: Claim) -> Stop | None:
        """Why a trial would run out of memory as an earlier one did, if it would.

        A draw never does; what the study file prescribes is not split without being asked.
        """
        return self._taking.memory_refusal(claim)

    # ------------------------------------------------------------------ holding trials

    def renew(self, claim: Claim) -> bool:
        """Hold on for another term; False where the trial is another's by now."""
        return self._access.alone(lambda: self._renew(claim))

    def still_holds(self, claim: Claim) -> bool:
        """`renew`, tried once.

        Raises:
            StorageInternalError: The storage's server is away.
        """
        return self._access.alone(lambda: self._renew(claim), persists=False)

    def _renew(self, claim: Claim) -> bool:
        if not self._records.is_held_by(claim.trial_id, claim.lease.owner):
            return False
        self._records.set(claim.trial_id, {attrs.LEASE: claim.lease.renewed(time.time()).as_dict()})
        return True

    def release(self, claim: Claim) -> None:
        """Leave the trial to whoever comes next; it goes on from its checkpoint."""
        self._leave(claim, None)

    def abandon(self, claim: Claim) -> None:
        """Leave the trial as if its worker had died: so it counts when it is taken again."""
        self._leave(claim, claim.lease.ended())

    def _leave(self, claim: Claim, lease: Lease | None) -> None:
        def leave() -> None:
            if self._renew(claim):
                self._records.set(claim.trial_id, {attrs.LEASE: lease and lease.as_dict()})

        self._access.alone(leave)

    def report(self, claim: Claim, tokens: int, val_loss: float) -> bool:
        """Show a rung's validation loss to everybody; False, and nothing shown, without a lease.

        While the storage's server is away, it is kept in the study's folder.
        """
        return self._access.say(Note(claim.number, claim.lease.owner, ((tokens, val_loss),)))

    def shown_losses(self, claim: Claim) -> Mapping[int, float]:
        """Losses that everybody sees of a trial; none of them while its server is away.

        To show one again does no harm.
        """
        with self.unless_away():
            return self._records.trial(claim.trial_id).intermediate_values
        return {}

    @contextmanager
    def unless_away(self) -> Iterator[None]:
        """Leave what can be done another time, where the storage's server is away."""
        try:
            yield
        except StorageInternalError as error:
            if not self.is_away(error):
                raise

    def is_away(self, error: Exception) -> bool:
        """Whether an error came of the storage's server, which may be back another time."""
        return isinstance(error, StorageInternalError) and self._access.may_be_stale

    def annotate(self, claim: Claim, values: Mapping[str, Any]) -> None:
        """Set user attributes of a trial."""
        self._access.persist(lambda: self._records.set(claim.trial_id, values))

    def annotate_held(self, claim: Claim, values: Mapping[str, Any]) -> bool:
        """Likewise under the study's lock; False, and nothing set, without a lease."""

        def annotate() -> bool:
            if not self._records.is_held_by(claim.trial_id, claim.lease.owner):
                return False
            self._records.set(claim.trial_id, values)
            return True

        return self._access.alone(annotate)

    def note_audit(self, claim: Claim, audit: Audit) -> None:
        """Write down the stop that a trial goes on from; after a resume, the first one stays."""

        def note() -> None:
            trial = self._records.trial(claim.trial_id)
            if attrs.AUDIT not in trial.user_attrs:
                since = replace(audit, lost=known_lost(self.spec, trial))
                self._records.set(claim.trial_id, {attrs.AUDIT: since.as_dict()})

        self._access.persist(note)

    def finish(self, claim: Claim, result: Result) -> bool:
        """Tell Optuna how a trial ended; False, and nothing done, where the lease was lost.

        Under the lock: a trial between its lease and its end looks left behind. While the
        storage's server is away, the end is kept in the study's folder.
        """
        return self._access.say(Note(claim.number, claim.lease.owner, result=result))

    def _send(self, note: Note) -> bool:
        trial_id = self._records.trial_id(note.number)
        if not self._records.is_held_by(trial_id, note.owner):
            return False
        for tokens, val_loss in note.losses:
            self.storage.set_trial_intermediate_value(trial_id, tokens, val_loss)
        if note.result is not None:
            if self.spec.artifacts is not None:
                self._records.set(trial_id, {attrs.ENDED_BY: note.owner})
            self._records.tell(note.number, note.result)
        return True


def _lent(spec: StudySpec, storage: BaseStorage) -> OpenStorage:
    return OpenStorage(storage, FileExclusion(spec.output_folder / "study.lock"))
