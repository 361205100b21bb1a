"""Makes the plan of a study's other seeds, once its search is over."""

from __future__ import annotations

from itertools import count, islice

from sweeper.errors import StudyChangedError
from sweeper.search.results import StudyResults
from sweeper.search.space import as_plain
from sweeper.search.verification import FOLDER, Arm, Plan, keep_plan, read_plan
from sweeper.study import VerifySpec

SPEED_TURNS = 15


def begin_plan(results: StudyResults, wanted: VerifySpec) -> Plan:
    """The study's plan, as it was made before or made now.

    Args:
        results: Of a study whose search is over and whose baseline has completed.
        wanted: What its study file asks for.

    Raises:
        StudyChangedError: The study file asks for another plan than the one that was begun.
    """
    spec = results.spec
    kept = read_plan(spec)
    if kept is None:
        plan = _new_plan(results, wanted)
        keep_plan(spec, plan)
        return plan
    if (kept.pairs, kept.alpha) != (wanted.pairs, wanted.alpha):
        raise StudyChangedError(
            f"{spec.path.name}: verify has changed (pairs {list(kept.pairs)} -> "
            f"{list(wanted.pairs)}, alpha {kept.alpha:g} -> {wanted.alpha:g}). A plan "
            "that is changed once losses are known does not hold its error rate. Change it back, "
            f"or remove the folder {spec.output_folder.name}/{FOLDER} to begin with other seeds"
        )
    return kept


def _new_plan(results: StudyResults, wanted: VerifySpec) -> Plan:
    used = {trial.hyperparameters.get("seed") for trial in results.trials}
    free = (seed for seed in count(results.spec.seed + 1) if seed not in used)
    arms = [*_hypotheses(results), *(_best(results) if wanted.best else [])]
    seeds = tuple(islice(free, wanted.pairs[-1]))
    return Plan(wanted.pairs, wanted.alpha, seeds, tuple(arms), SPEED_TURNS)


def _hypotheses(results: StudyResults) -> list[Arm]:
    """One that expects nothing is one that expects to help; how fast a command is, it knows."""
    arms = []
    for hypothesis in results.spec.hypotheses:
        expectation = hypothesis.expectation
        trial = next((t for t in results.trials if t.hypothesis == hypothesis.name), None)
        metric, expects = ("val_loss", "<") if expectation is None else expectation
        if trial is None or (metric == "speed" and results.spec.command is not None):
            continue
        recipe = results.spec.hyperparameters_with(hypothesis.change)
        arms.append(Arm(hypothesis.name, dict(as_plain(recipe)), expects, trial.number, metric))
    return arms


def _best(results: StudyResults) -> list[Arm]:
    """The best trial, unless it is the baseline or compared already."""
    best = results.best
    if best is None or best.is_baseline or best.hypothesis is not None:
        return []
    return [Arm(None, dict(best.hyperparameters), "<", best.number)]
