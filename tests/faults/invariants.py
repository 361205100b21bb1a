"""What must hold of a study, whatever has happened to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from optuna.trial import FrozenTrial, TrialState

from sweeper.search import attributes as attrs
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec

Line = dict[str, object]


@dataclass
class Witness:
    """Sees a study between faults, and remembers which trials had completed, with what."""

    spec: StudySpec
    completed: dict[int, float] = field(default_factory=dict)

    def look(self) -> None:
        """Note what has completed since; a trial that was there must be there still, the same.

        Raises:
            AssertionError: A completed trial is lost, or says something else.
        """
        now = {
            trial.number: trial.value
            for trial in StudyStore(self.spec, create=False).trials()
            if trial.state is TrialState.COMPLETE and trial.value is not None
        }
        lost = {number: now.get(number) for number in self.completed}
        assert lost == self.completed, "a completed trial was lost or changed"
        self.completed = now


@dataclass(frozen=True)
class Examination:
    """What a struck study came to, beside the same study that nothing happened to.

    Attributes:
        spec: The struck one, at its end.
        whole: The other.
        may_fail: Trials that may end otherwise than the other's, as the fault is in themselves.
    """

    spec: StudySpec
    whole: StudySpec
    may_fail: frozenset[int] = frozenset()

    @cached_property
    def trials(self) -> list[FrozenTrial]:
        """The struck study's."""
        return StudyStore(self.spec, create=False).trials()

    @property
    def given_up(self) -> list[int]:
        """Trials whose worker died more often than is allowed: their end, and a right one."""
        text = f"its worker died {self.spec.workers.retries + 1} times"
        return [
            trial.number
            for trial in self.trials
            if trial.state is TrialState.FAIL
            and str(trial.user_attrs.get(attrs.EVIDENCE)).startswith(text)
        ]

    def broken(self) -> list[str]:
        """Each rule that does not hold, in words; empty where all do."""
        return [*self._counts(), *self._ends(), *self._curves(), *self._books()]

    def _counts(self) -> Iterator[str]:
        numbers = [trial.number for trial in self.trials]
        if numbers != list(range(self.spec.budget.trials)):
            yield f"trials {numbers} are not the {self.spec.budget.trials} that were asked for"
        recipes = Counter(
            json.dumps(trial.user_attrs.get(attrs.HYPERPARAMETERS), sort_keys=True)
            for trial in self.trials
        )
        if doubled := [recipe for recipe, times in recipes.items() if times > 1]:
            yield f"doubled: {doubled}"

    def _ends(self) -> Iterator[str]:
        for trial in self.trials:
            if not trial.state.is_finished():
                yield f"trial {trial.number} is left {trial.state.name}"
        failed = {t.number for t in self.trials if t.state is TrialState.FAIL}
        if wrong := failed - set(self.given_up) - self.may_fail:
            said = [self.trials[number].user_attrs.get(attrs.EVIDENCE) for number in sorted(wrong)]
            yield f"trials {sorted(wrong)} failed: {said}"

    def _curves(self) -> Iterator[str]:
        whole, struck = curves(self.whole), curves(self.spec)
        values = {t.number: t.value for t in StudyStore(self.whole, create=False).trials()}
        for trial in self.trials:
            number = trial.number
            if trial.state is not TrialState.COMPLETE or number in self.may_fail:
                continue
            if struck.get(number) != whole.get(number):
                yield f"trial {number} has another curve than uninterrupted"
            if trial.value != values[number]:
                yield f"trial {number} came to {trial.value}, uninterrupted to {values[number]}"
            told = {int(tokens): loss for tokens, loss in trial.intermediate_values.items()}
            if told != evaluations(struck.get(number, [])):
                yield f"trial {number} has told other losses than its curve holds"

    def _books(self) -> Iterator[str]:
        """Tokens paid: the whole budget for each completed trial, and what interruptions cost."""
        for trial in self.trials:
            if trial.state is TrialState.COMPLETE and trial.number not in self.may_fail:
                tokens = trial.user_attrs[attrs.TOKENS]
                if tokens != self.spec.budget.tokens_per_trial:
                    yield f"trial {trial.number} is said to have taken {tokens} tokens"


def curves(spec: StudySpec) -> dict[int, list[Line]]:
    """Every trial's curve but for the seconds, the only thing that may differ."""
    return {
        int(path.parent.name): [
            {name: value for name, value in json.loads(line).items() if name != "seconds"}
            for line in path.read_text("utf-8").splitlines()
        ]
        for path in sorted(spec.output_folder.glob("trials/*/curve.jsonl"))
    }


def evaluations(curve: list[Line]) -> Mapping[object, object]:
    """Validation losses of a curve by tokens."""
    return {line["tokens"]: line["val_loss"] for line in curve if "val_loss" in line}
