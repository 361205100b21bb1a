"""Carries out a study's plan of other seeds, look by look."""

from __future__ import annotations

import math
from dataclasses import replace

from sweeper.search import attributes as attrs
from sweeper.search.outcomes import tokens_paid
from sweeper.search.progress import Snapshot
from sweeper.search.results import load_results
from sweeper.search.runner import Observe, RunOutcome, Tell, run_study
from sweeper.search.store import StudyStore
from sweeper.search.verifying.looks import Look
from sweeper.search.verifying.pacing import measure_speeds, read_speeds
from sweeper.search.verifying.planning import begin_plan
from sweeper.search.verifying.verdicts import Verification, load_verification
from sweeper.search.verifying.verification import Plan, look_recipes, look_study
from sweeper.search.workers.crew import known_crew
from sweeper.study import StudySpec


def verify_study(spec: StudySpec, *, observe: Observe, tell: Tell) -> RunOutcome | None:
    """Train baseline, hypotheses and best recipes on further seeds, until each has a verdict.

    Then the recipes between the baseline and the best one, where an ablation is asked for.

    What an interrupted call left is gone on with. The study's budgets of tokens and wall clock
    hold for the search and this together.

    Args:
        spec: A study whose search is over.
        observe: See `run_study`; called with how the present look stands.
        tell: Called while a look is prepared.

    Returns:
        How the newest look ended; None where none was begun: `verify` is off, the baseline has
        not completed, all is decided, or the study's tokens are spent.

    Raises:
        SweeperError: As `run_study`; `StudyChangedError` also where `verify` asks for another
            plan than the one that was begun.
    """
    if spec.verify is None:
        return None
    store = StudyStore(spec, create=False)
    results = load_results(store)
    if results.baseline is None or not results.baseline.completed:
        return None
    plan = begin_plan(store, results, spec.verify)
    if any(arm.metric == "speed" for arm in plan.arms) and not read_speeds(spec).of:
        tell("measuring speeds in turns", 0, 1)
        measure_speeds(spec, plan, known_crew(spec).setup)
        tell("measuring speeds in turns", 1, 1)
    outcome: RunOutcome | None = None
    number: int | None = -1
    while (verification := load_verification(spec)) is not None:
        look = verification.next_look
        if look is None or look.number == number:  # its tokens ended in the middle of it
            break
        number = look.number
        study = _within_budget(spec, look_study(spec, plan, number, look.keys), verification)
        if study.budget.wall_clock_s == 0:
            return RunOutcome(None, wall_clock_spent=True)
        if study.budget.tokens is not None and study.budget.tokens < spec.budget.tokens_per_trial:
            break
        outcome = run_study(study, observe=_named(observe, spec, plan, look), tell=tell)
        if outcome.signal is not None or outcome.wall_clock_spent:
            break
    return outcome


def _within_budget(spec: StudySpec, study: StudySpec, verification: Verification) -> StudySpec:
    """A look's study with what search and finished looks have left of the whole budget.

    What the look itself has spent already, its own study counts.
    """
    whole, store = spec.budget, StudyStore(spec, create=False)
    left: dict[str, float | int | None] = {"wall_clock_s": None, "tokens": None}
    if whole.wall_clock_s is not None:
        searched_s = float(store.study.user_attrs.get(attrs.SECONDS_SPENT, 0.0))
        looked_s = math.fsum(look.wall_clock_s for look in verification.finished_looks)
        looked_s += read_speeds(spec).wall_clock_s
        left["wall_clock_s"] = max(whole.wall_clock_s - searched_s - looked_s, 0.0)
    if whole.tokens is not None:
        searched = sum(tokens_paid(trial.user_attrs) for trial in store.trials())
        looked = sum(look.tokens for look in verification.finished_looks)
        left["tokens"] = max(whole.tokens - searched - looked, 0)
    return study.model_copy(update={"budget": study.budget.model_copy(update=left)})


def _named(observe: Observe, spec: StudySpec, plan: Plan, look: Look) -> Observe:
    """Say of a look's study what it is, and of its trials whose seed they run on.

    Its best trial and its baseline are left out: they are of one seed among several.
    """
    recipes = look_recipes(spec, plan, look.number, look.keys)
    labels = [f"{key.removeprefix('hypothesis:')}, seed {seed}" for key, seed, _ in recipes]
    part = "ablation"
    if look.number is not None:
        part = f"other seeds, look {look.number + 1} of {len(plan.pairs)}"

    def observe_named(snapshot: Snapshot) -> None:
        running = tuple(replace(t, label=labels[t.number]) for t in snapshot.running)
        observe(
            replace(
                snapshot,
                part=part,
                running=running,
                best_number=None,
                best_val_loss=None,
                baseline_val_loss=None,
            )
        )

    return observe_named
