"""Taking a study's trials: those that were left behind first, then new ones within the budget."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from optuna.trial import FrozenTrial, Trial, TrialState

from sweeper.curves import Stop
from sweeper.search import attributes as attrs
from sweeper.search.artifacts.record import known_lost
from sweeper.search.claim import Claim
from sweeper.search.drawing.admission import Admission
from sweeper.search.drawing.prescribed import most_trials
from sweeper.search.drawing.space import draw, record
from sweeper.search.leases import Lease
from sweeper.search.outcomes import tokens_paid
from sweeper.search.records import Records
from sweeper.search.telling import given_up
from sweeper.search.turns import has_to_wait, left_behind
from sweeper.study import Hyperparameters


class Taking:
    """Gives out trials; whoever takes one holds the study's lock meanwhile.

    Args:
        records: The study's trials.
        admission: What may still begin.
    """

    def __init__(self, records: Records, admission: Admission) -> None:
        self._records = records
        self._admission = admission
        self._spec = records.spec
        self._half_taken: int | None = None

    def take(self, owner: str) -> Claim | None:
        """See `StudyStore.claim`."""
        return self._reclaim(owner) or self._ask(owner)

    # ------------------------------------------------------------------ what there is to take

    def may_take(self) -> bool:
        """Whether there is anything for a worker to do now."""
        return any(self._left_behind()) or self.may_ask()

    def may_ask(self) -> bool:
        """Whether the budget allows another trial to begin."""
        trials = self._records.trials()
        begun = sum(trial.state is not TrialState.WAITING for trial in trials)
        most = min(self._spec.budget.trials, most_trials(self._spec))
        if begun >= most or not self._tokens_left(trials):
            return False
        self._admission.learn(trials)
        return begun < len(trials) or not self._admission.has_no_more()

    def is_exhausted(self) -> bool:
        """Whether all that the space holds was tried, or cannot be: there is nothing to draw."""
        self._admission.learn(self._records.trials())
        return self._admission.has_no_more()

    def _left_behind(self) -> Iterator[FrozenTrial]:
        trials = self._records.trials()
        self._admission.learn(trials)
        return left_behind(trials, self._admission.possible_lenders, time.time())

    def _tokens_left(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether the study's tokens allow one more whole trial beside those that run."""
        budget = self._spec.budget
        if budget.tokens is None:
            return True
        spent = sum(
            budget.tokens_per_trial + known_lost(self._spec, trial).tokens
            if trial.state is TrialState.RUNNING
            else tokens_paid(trial.user_attrs)
            for trial in trials
        )
        return bool(spent + budget.tokens_per_trial <= budget.tokens)

    # ------------------------------------------------------------------ what was taken before

    def same_experiment(self, claim: Claim) -> FrozenTrial | None:
        """See `StudyStore.same_experiment`."""
        trials = self._records.trials()
        self._admission.learn(trials)
        lender = self._admission.lender(claim.hyperparameters)
        return None if lender is None else trials[lender]

    def memory_refusal(self, claim: Claim) -> Stop | None:
        """See `StudyStore.memory_refusal`."""
        return self._admission.refusal(claim.hyperparameters)

    # ------------------------------------------------------------------ taking one

    def _reclaim(self, owner: str) -> Claim | None:
        if claim := self._take_again(owner):
            return claim
        for trial in self._left_behind():
            was_left_alive = trial.user_attrs.get(attrs.LEASE) is None
            crashes = trial.user_attrs.get(attrs.CRASHES, 0) + (not was_left_alive)
            if crashes > self._spec.workers.retries:
                self._records.tell(trial.number, given_up(self._spec, trial, crashes))
                continue
            self._records.set(self._records.trial_id(trial.number), {attrs.CRASHES: crashes})
            if claim := self._take_or_put_back(trial.number, owner):
                return claim
        return None

    def _take_again(self, owner: str) -> Claim | None:
        """The trial that this worker had half taken when the storage's server went away."""
        trials, number = self._records.trials(), self._half_taken
        self._half_taken = None
        if number is None or trials[number].state is not TrialState.RUNNING:
            return None
        lease = Lease.read(trials[number].user_attrs.get(attrs.LEASE))
        is_mine = lease is None or lease.owner == owner
        return self._take_or_put_back(number, owner) if is_mine else None

    def _ask(self, owner: str) -> Claim | None:
        while self.may_ask():
            if claim := self._take_or_put_back(self._records.study.ask().number, owner):
                return claim
        return None

    def _take_or_put_back(self, number: int, owner: str) -> Claim | None:
        claim = self._take(number, owner)
        lenders = self._admission.possible_lenders(claim.hyperparameters)
        if lenders and has_to_wait(number, lenders, self._records.trials(), time.time()):
            self._records.set(claim.trial_id, {attrs.LEASE: None})
            return None
        return claim

    def _take(self, number: int, owner: str) -> Claim:
        self._half_taken = number
        trial_id = self._records.trial_id(number)
        lease = Lease.new(owner, time.time())
        self._records.set(trial_id, {attrs.LEASE: lease.as_dict()})
        stored = self._records.trial(trial_id)
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
        trial = Trial(self._records.study, trial_id)
        fixed = stored.user_attrs.get(attrs.FIXED)
        if fixed is not None:
            recipe = Hyperparameters.model_validate(fixed)
            record(trial, self._spec, recipe)
        else:
            recipe = draw(trial, self._spec)
        is_baseline = bool(stored.user_attrs.get(attrs.BASELINE))
        self._records.set_recipe(trial_id, recipe, is_baseline=is_baseline)
        return recipe
