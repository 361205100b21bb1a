"""Carries out a study's plan of other seeds, look by look."""

from __future__ import annotations

from typing import NamedTuple

from sweeper.search import attributes as attrs
from sweeper.search.planning import begin_plan
from sweeper.search.results import load_results
from sweeper.search.runner import Observe, RunOutcome, Tell, run_study
from sweeper.search.storage import has_begun
from sweeper.search.store import StudyStore
from sweeper.search.verdicts import load_verification
from sweeper.search.verification import look_study
from sweeper.study import StudySpec


def verify_study(spec: StudySpec, *, observe: Observe, tell: Tell) -> RunOutcome | None:
    """Train baseline, hypotheses and best recipe on further seeds, until each has a verdict.

    What an interrupted call left is gone on with. The study's budgets of tokens and wall clock
    hold for the search and this together.

    Args:
        spec: A study whose search is over.
        observe: Called about twice a second with how the present look stands.
        tell: Called while a look is prepared.

    Returns:
        How the newest look ended; None where none was begun: `verify` is off, the baseline has
        not completed, all is decided, or the study's tokens are spent.

    Raises:
        SweeperError: As `run_study`; `StudyChangedError` also where `verify` asks for another
            plan than the one that was begun.
    """
    results = load_results(StudyStore(spec, create=False))
    if spec.verify is None or results.baseline is None or not results.baseline.completed:
        return None
    plan = begin_plan(results)
    spent = _spent(spec)
    outcome, before = None, None
    while (verification := load_verification(spec)) is not None:
        next_look = verification.next_look
        if next_look is None or next_look == before:  # its tokens ended in the middle of it
            break
        study = _within_budget(spec, look_study(spec, plan, *next_look), spent)
        if study.budget.wall_clock_s == 0:
            return RunOutcome(None, wall_clock_spent=True)
        tokens = study.budget.tokens
        if tokens is not None and tokens < study.budget.tokens_per_trial:
            break
        outcome = run_study(study, observe=observe, tell=tell)
        if outcome.signal is not None or outcome.wall_clock_spent:
            return outcome
        spent = spent.with_more(_spent(study))
        before = next_look
    return outcome


class _Spent(NamedTuple):
    """Wall clock and tokens."""

    seconds: float
    tokens: int

    def with_more(self, more: _Spent) -> _Spent:
        return _Spent(self.seconds + more.seconds, self.tokens + more.tokens)


def _spent(spec: StudySpec) -> _Spent:
    """What a study has spent so far."""
    if not has_begun(spec):
        return _Spent(0.0, 0)
    store = StudyStore(spec, create=False)
    tokens = sum(trial.user_attrs.get(attrs.TOKENS, 0) for trial in store.trials())
    return _Spent(float(store.study.user_attrs.get(attrs.SECONDS_SPENT, 0.0)), tokens)


def _within_budget(spec: StudySpec, study: StudySpec, spent: _Spent) -> StudySpec:
    """A look's study with what is left of the whole study's budget."""
    whole = spec.budget
    left: dict[str, float | int | None] = {"wall_clock_s": None, "tokens": None}
    if whole.wall_clock_s is not None:
        left["wall_clock_s"] = max(whole.wall_clock_s - spent.seconds, 0.0)
    if whole.tokens is not None:
        left["tokens"] = max(whole.tokens - spent.tokens, 0)
    return study.model_copy(update={"budget": study.budget.model_copy(update=left)})
