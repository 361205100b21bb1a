"""The study in Optuna's storage: taking its trials, and telling how they ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from sweeper.curves import Stop
from sweeper.errors import StorageError
from sweeper.search import attributes as attrs
from sweeper.search.artifacts.record import known_lost
from sweeper.search.audit import Audit
from sweeper.search.claim import Claim, is_held_by
from sweeper.search.drawing.admission import Admission
from sweeper.search.drawing.earlier import earlier_trials
from sweeper.search.drawing.prescribed import most_trials
from sweeper.search.drawing.proposals import Rules
from sweeper.search.drawing.space import as_plain, draw, record
from sweeper.search.leases import Lease
from sweeper.search.opening import open_study
from sweeper.search.outcomes import Result, tokens_paid
from sweeper.search.storage import (
    has_begun,
    make_folder,
    storage_address,
)
from sweeper.search.storages.access import Access
from sweeper.search.storages.exclusion import FileExclusion
from sweeper.search.storages.opening import OpenStorage, open_storage
from sweeper.search.storages.spool import Note
from sweeper.search.telling import given_up, tell_result
from sweeper.search.turns import has_to_wait, left_behind
from sweeper.study import Hyperparameters, StudySpec


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
        self._half_taken: int | None = None
        self._seen: list[FrozenTrial] | None = None
        self._admission = Admission(spec)
        rules = Rules(self._admission.admit, self._admission.spare, self._earlier)
        self._study = self._access.opened(
            lambda: open_study(spec, self.storage, rules, create=create)
        )

    def _earlier(self) -> list[FrozenTrial]:
        """Read once, by who is to draw."""
        if self._earlier_trials is None:
            self._earlier_trials = earlier_trials(self.spec)
        return self._earlier_trials

    @cached_property
    def _study_id(self) -> int:
        return self.storage.get_study_id_from_name(self.spec.folder_name)

    @property
    def study(self) -> optuna.Study:
        """Optuna's own study."""
        return self._study

    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order of their numbers.

        By way of the study, which reads an ended trial from the storage once: the storage itself
        would read all of them each time, a millisecond for each. While its server is away, those
        who only look on see what was there before.
        """
        try:
            self._seen = self._study.get_trials(deepcopy=False)
        except StorageInternalError:
            if self._seen is None or not self._access.may_be_stale:
                raise
        return self._seen

    # ------------------------------------------------------------------ taking trials

    def claim(self, owner: str) -> Claim | None:
        """Take a trial to work on: one that was left behind, or else a new one.

        Returns:
            None where the budget is spent, and what was left behind waits for an equal trial
            that another holds.
        """
        return self._access.alone(lambda: self._reclaim(owner) or self._ask(owner))

    def _reclaim(self, owner: str) -> Claim | None:
        if claim := self._take_again(owner):
            return claim
        for trial in self._left_behind():
            was_left_alive = trial.user_attrs.get(attrs.LEASE) is None
            crashes = trial.user_attrs.get(attrs.CRASHES, 0) + (not was_left_alive)
            if crashes > self.spec.workers.retries:
                self._tell(trial.number, given_up(self.spec, trial, crashes))
                continue
            self._set(self._id(trial.number), {attrs.CRASHES: crashes})
            if claim := self._take_or_put_back(trial.number, owner):
                return claim
        return None

    def _take_again(self, owner: str) -> Claim | None:
        """The trial that this worker had half taken when the storage's server went away."""
        trials, number = self.trials(), self._half_taken
        self._half_taken = None
        if number is None or trials[number].state is not TrialState.RUNNING:
            return None
        lease = Lease.read(trials[number].user_attrs.get(attrs.LEASE))
        is_mine = lease is None or lease.owner == owner
        return self._take_or_put_back(number, owner) if is_mine else None

    def _ask(self, owner: str) -> Claim | None:
        while self.may_ask():
            if claim := self._take_or_put_back(self._study.ask().number, owner):
                return claim
        return None

    def _take_or_put_back(self, number: int, owner: str) -> Claim | None:
        claim = self._take(number, owner)
        lenders = self._admission.possible_lenders(claim.hyperparameters)
        if lenders and has_to_wait(number, lenders, self.trials(), time.time()):
            self._set(claim.trial_id, {attrs.LEASE: None})
            return None
        return claim

    def _left_behind(self) -> Iterator[FrozenTrial]:
        trials = self.trials()
        self._admission.learn(trials)
        return left_behind(trials, self._admission.possible_lenders, time.time())

    def may_claim(self) -> bool:
        """Whether there is anything for a worker to do now."""
        return any(self._left_behind()) or self.may_ask()

    def may_ask(self) -> bool:
        """Whether the budget allows another trial to begin."""
        trials = self.trials()
        begun = sum(trial.state is not TrialState.WAITING for trial in trials)
        most = min(self.spec.budget.trials, most_trials(self.spec))
        if begun >= most or not self._tokens_left(trials):
            return False
        self._admission.learn(trials)
        return begun < len(trials) or not self._admission.has_no_more()

    def is_exhausted(self) -> bool:
        """Whether all that the space holds was tried, or cannot be: there is nothing to draw."""
        self._admission.learn(self.trials())
        return self._admission.has_no_more()

    def _tokens_left(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether the study's tokens allow one more whole trial beside those that run."""
        budget = self.spec.budget
        if budget.tokens is None:
            return True
        spent = sum(
            budget.tokens_per_trial + known_lost(self.spec, trial).tokens
            if trial.state is TrialState.RUNNING
            else tokens_paid(trial.user_attrs)
            for trial in trials
        )
        return bool(spent + budget.tokens_per_trial <= budget.tokens)

    def _take(self, number: int, owner: str) -> Claim:
        self._half_taken = number
        trial_id = self._id(number)
        lease = Lease.new(owner, time.time())
        self._set(trial_id, {attrs.LEASE: lease.as_dict()})
        stored = self.storage.get_trial(trial_id)
        claim = Claim(
            number=number,
            trial_id=trial_id,
            hyperparameters=self._recipe(stored, trial_id),
            is_baseline=bool(stored.user_attrs.get(attrs.BASELINE)),
            hypothesis=stored.user_attrs.get(attrs.HYPOTHESIS),
            lease=lease,
        )
        self._half_taken = None
        return claim

    def _recipe(self, stored: FrozenTrial, trial_id: int) -> Hyperparameters:
        """The trial's recipe: as recorded, or drawn now that it begins."""
        plain = stored.user_attrs.get(attrs.HYPERPARAMETERS)
        if plain is not None:
            return Hyperparameters.model_validate(plain)
        trial = Trial(self._study, trial_id)
        fixed = stored.user_attrs.get(attrs.FIXED)
        if fixed is not None:
            recipe = Hyperparameters.model_validate(fixed)
            record(trial, self.spec, recipe)
        else:
            recipe = draw(trial, self.spec)
        self._set(
            trial_id,
            {
                attrs.HYPERPARAMETERS: as_plain(recipe),
                attrs.BASELINE: bool(stored.user_attrs.get(attrs.BASELINE)),
            },
        )
        return recipe

    def same_experiment(self, claim: Claim) -> FrozenTrial | None:
        """An earlier completed trial that was the same experiment in another guise."""
        trials = self.trials()
        self._admission.learn(trials)
        lender = self._admission.lender(claim.hyperparameters)
        return None if lender is None else trials[lender]

    def memory_refusal(self, claim: Claim) -> Stop | None:
        """Why a trial would run out of memory as an earlier one did, if it would.

        A draw never does; what the study file prescribes is not split without being asked.
        """
        return self._admission.refusal(claim.hyperparameters)

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

    def _is_held_by(self, trial_id: int, owner: str) -> bool:
        return is_held_by(self.storage.get_trial(trial_id), owner)

    def _renew(self, claim: Claim) -> bool:
        if not self._is_held_by(claim.trial_id, claim.lease.owner):
            return False
        self._set(claim.trial_id, {attrs.LEASE: claim.lease.renewed(time.time()).as_dict()})
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
                self._set(claim.trial_id, {attrs.LEASE: lease and lease.as_dict()})

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
            return self.storage.get_trial(claim.trial_id).intermediate_values
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
        self._access.persist(lambda: self._set(claim.trial_id, values))

    def annotate_held(self, claim: Claim, values: Mapping[str, Any]) -> bool:
        """Likewise under the study's lock; False, and nothing set, without a lease."""

        def annotate() -> bool:
            is_held = self._is_held_by(claim.trial_id, claim.lease.owner)
            self._set(claim.trial_id, values if is_held else {})
            return is_held

        return self._access.alone(annotate)

    def note_audit(self, claim: Claim, audit: Audit) -> None:
        """Write down the stop that a trial goes on from; after a resume, the first one stays."""

        def note() -> None:
            trial = self.storage.get_trial(claim.trial_id)
            if attrs.AUDIT not in trial.user_attrs:
                since = replace(audit, lost=known_lost(self.spec, trial))
                self._set(claim.trial_id, {attrs.AUDIT: since.as_dict()})

        self._access.persist(note)

    def finish(self, claim: Claim, result: Result) -> bool:
        """Tell Optuna how a trial ended; False, and nothing done, where the lease was lost.

        Under the lock: a trial between its lease and its end looks left behind. While the
        storage's server is away, the end is kept in the study's folder.
        """
        return self._access.say(Note(claim.number, claim.lease.owner, result=result))

    def _send(self, note: Note) -> bool:
        trial_id = self._id(note.number)
        if not self._is_held_by(trial_id, note.owner):
            return False
        for tokens, val_loss in note.losses:
            self.storage.set_trial_intermediate_value(trial_id, tokens, val_loss)
        if note.result is not None:
            if self.spec.artifacts is not None:
                self._set(trial_id, {attrs.ENDED_BY: note.owner})
            self._tell(note.number, note.result)
        return True

    def _tell(self, number: int, result: Result) -> None:
        tell_result(self._study, self.storage, self.spec, number, result)

    def _set(self, trial_id: int, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            self.storage.set_trial_user_attr(trial_id, key, value)

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._study_id, number)


def _lent(spec: StudySpec, storage: BaseStorage) -> OpenStorage:
    return OpenStorage(storage, FileExclusion(spec.output_folder / "study.lock"))
