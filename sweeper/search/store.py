"""The study in Optuna's storage: taking its trials, and telling how they ended."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from sweeper.curves import Stop, StopReason
from sweeper.errors import StorageError
from sweeper.search import attributes as attrs
from sweeper.search.admission import Admission
from sweeper.search.audit import Audit
from sweeper.search.claim import Claim
from sweeper.search.earlier import earlier_trials
from sweeper.search.leases import Lease, study_lock
from sweeper.search.memory import place_of
from sweeper.search.opening import open_study
from sweeper.search.outcomes import Result, failure, tokens_paid, violation
from sweeper.search.prescribed import most_trials
from sweeper.search.proposals import Rules
from sweeper.search.space import as_plain, draw, record
from sweeper.search.storage import (
    has_begun,
    make_folder,
    newest_point,
    open_storage,
    storage_url,
    trial_folder,
)
from sweeper.search.turns import has_to_wait, left_behind
from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.lost import Lost, read_lost

MAX_CRASHES = 2  # a trial whose worker died more often is given up
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_STATE_OF = {StopReason.COMPLETED: TrialState.COMPLETE, StopReason.ERROR: TrialState.FAIL}


class StudyStore:
    """One study in its storage.

    Args:
        spec: The study.
        create: Make it where it does not exist.
        storage: Where it is stored; None: where the study says.

    Raises:
        StorageError: It does not exist, or its storage cannot be used.
        StudyChangedError: The stored study was made from another study file.
    """

    def __init__(
        self, spec: StudySpec, *, create: bool, storage: BaseStorage | None = None
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.spec = spec
        self._earlier_trials: list[FrozenTrial] | None = None
        if create:
            self._earlier()  # before anything is made, if it is to be refused
            make_folder(spec.output_folder)
        elif not has_begun(spec):
            raise StorageError(
                f"{spec.name} has not been run yet: there is no study in its folder "
                f"{spec.output_folder.parent.name}/{spec.output_folder.name}. "
                f"Next: sweeper run {spec.path.name}"
            )
        self.storage = storage or open_storage(storage_url(spec))
        self._admission = Admission(spec)
        rules = Rules(self._admission.admit, self._admission.spare, self._earlier)
        with study_lock(spec.output_folder):
            self._study = open_study(spec, self.storage, rules, create=create)

    def _earlier(self) -> list[FrozenTrial]:
        """Read once, by who is to draw."""
        if self._earlier_trials is None:
            self._earlier_trials = earlier_trials(self.spec)
        return self._earlier_trials

    @property
    def _study_id(self) -> int:
        return self.storage.get_study_id_from_name(self.spec.folder_name)

    @property
    def study(self) -> optuna.Study:
        """Optuna's own study."""
        return self._study

    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order of their numbers.

        By way of the study, which reads an ended trial from the storage once: the storage itself
        would read all of them each time, a millisecond for each.
        """
        return self._study.get_trials(deepcopy=False)

    # ------------------------------------------------------------------ taking trials

    def claim(self, owner: str) -> Claim | None:
        """Take a trial to work on: one that was left behind, or else a new one.

        Returns:
            None where the budget is spent, and what was left behind waits for an equal trial
            that another holds.
        """
        now = time.time()
        with study_lock(self.spec.output_folder):
            return self._reclaim(owner, now) or self._ask(owner, now)

    def _reclaim(self, owner: str, now: float) -> Claim | None:
        for trial in self._left_behind(now):
            was_left_alive = trial.user_attrs.get(attrs.LEASE) is None
            crashes = trial.user_attrs.get(attrs.CRASHES, 0) + (not was_left_alive)
            if crashes > MAX_CRASHES:
                self._give_up(trial.number, crashes)
                continue
            self._set(self._id(trial.number), {attrs.CRASHES: crashes})
            if claim := self._take_or_put_back(trial.number, owner, now):
                return claim
        return None

    def _give_up(self, number: int, crashes: int) -> None:
        text = f"its worker died {crashes} times while training it"
        self._tell(number, failure(Stop(StopReason.ERROR, text), newest_point(self.spec, number)))

    def _ask(self, owner: str, now: float) -> Claim | None:
        while self.may_ask():
            if claim := self._take_or_put_back(self._study.ask().number, owner, now):
                return claim
        return None

    def _take_or_put_back(self, number: int, owner: str, now: float) -> Claim | None:
        claim = self._take(number, owner, now)
        lenders = self._admission.possible_lenders(claim.hyperparameters)
        if lenders and has_to_wait(number, lenders, self.trials(), now):
            self._set(claim.trial_id, {attrs.LEASE: None})
            return None
        return claim

    def _left_behind(self, now: float) -> Iterator[FrozenTrial]:
        trials = self.trials()
        self._admission.learn(trials)
        return left_behind(trials, self._admission.possible_lenders, now)

    def may_claim(self) -> bool:
        """Whether there is anything for a worker to do now."""
        return any(self._left_behind(time.time())) or self.may_ask()

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
            budget.tokens_per_trial + self._lost(trial.number).tokens
            if trial.state is TrialState.RUNNING
            else tokens_paid(trial.user_attrs)
            for trial in trials
        )
        return bool(spent + budget.tokens_per_trial <= budget.tokens)

    def _lost(self, number: int) -> Lost:
        return read_lost(trial_folder(self.spec, number))

    def _take(self, number: int, owner: str, now: float) -> Claim:
        trial_id = self._id(number)
        lease = Lease.new(owner, now)
        self._set(trial_id, {attrs.LEASE: lease.as_dict()})
        stored = self.storage.get_trial(trial_id)
        return Claim(
            number=number,
            trial_id=trial_id,
            hyperparameters=self._recipe(stored, trial_id),
            is_baseline=bool(stored.user_attrs.get(attrs.BASELINE)),
            hypothesis=stored.user_attrs.get(attrs.HYPOTHESIS),
            lease=lease,
        )

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
        with study_lock(self.spec.output_folder):
            return self._renew(claim)

    def _renew(self, claim: Claim) -> bool:
        trial = self.storage.get_trial(claim.trial_id)
        lease = Lease.read(trial.user_attrs.get(attrs.LEASE))
        if trial.state in _ENDED or lease is None or lease.owner != claim.lease.owner:
            return False
        self._set(claim.trial_id, {attrs.LEASE: claim.lease.renewed(time.time()).as_dict()})
        return True

    def release(self, claim: Claim) -> None:
        """Leave the trial to whoever comes next; it goes on from its checkpoint."""
        with study_lock(self.spec.output_folder):
            if self._renew(claim):
                self._set(claim.trial_id, {attrs.LEASE: None})

    def abandon(self, claim: Claim) -> None:
        """Leave the trial as if its worker had died: so it counts when it is taken again."""
        with study_lock(self.spec.output_folder):
            if self._renew(claim):
                self._set(claim.trial_id, {attrs.LEASE: claim.lease.ended().as_dict()})

    def report(self, claim: Claim, tokens: int, val_loss: float) -> None:
        """Show a rung's validation loss to everybody."""
        self.storage.set_trial_intermediate_value(claim.trial_id, tokens, val_loss)

    def annotate(self, claim: Claim, values: Mapping[str, Any]) -> None:
        """Set user attributes of a trial."""
        self._set(claim.trial_id, values)

    def note_audit(self, claim: Claim, audit: Audit) -> None:
        """Write down the stop that a trial goes on from; after a resume, the first one stays."""
        if attrs.AUDIT not in self.storage.get_trial(claim.trial_id).user_attrs:
            since = replace(audit, lost=self._lost(claim.number))
            self._set(claim.trial_id, {attrs.AUDIT: since.as_dict()})

    def finish(self, claim: Claim, result: Result) -> bool:
        """Tell Optuna how a trial ended; False, and nothing done, where the lease was lost.

        Under the lock: a trial between its lease and its end looks left behind.
        """
        with study_lock(self.spec.output_folder):
            if not self._renew(claim):
                return False
            self._tell(claim.number, result)
            return True

    def _tell(self, number: int, result: Result) -> None:
        lost = self._lost(number)
        self._set(
            self._id(number),
            {
                attrs.STOP_REASON: result.stop.reason.value,
                attrs.EVIDENCE: result.stop.evidence,
                attrs.VAL_LOSS: result.val_loss,
                attrs.TOKENS: result.tokens,
                attrs.SECONDS: result.seconds,
                attrs.LOST_TOKENS: lost.tokens,
                attrs.LOST_SECONDS: lost.seconds,
                attrs.SAME_AS: result.same_as,
                attrs.LEASE: None,
            },
        )
        if result.overflow is not None:
            overflow = {"micro_batch": result.overflow, "place": place_of(self.spec)}
            self._set(self._id(number), {attrs.OVERFLOW: overflow})
        self._set_violation(number, violation(result))
        state = _STATE_OF.get(result.stop.reason, TrialState.PRUNED)
        values = result.val_loss if state is TrialState.COMPLETE else None
        with warnings.catch_warnings():
            # CMA-ES goes by the losses alone; the violation is there for the dashboard.
            warnings.filterwarnings("ignore", "Constraints have been set", UserWarning)
            self._study.tell(number, values, state=state)

    def _set_violation(self, number: int, value: float) -> None:
        trial_id = self._id(number)
        if attrs.VIOLATION not in self.storage.get_trial(trial_id).constraints:
            Trial(self._study, trial_id).set_constraint(attrs.VIOLATION, value)

    def _set(self, trial_id: int, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            self.storage.set_trial_user_attr(trial_id, key, value)

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
