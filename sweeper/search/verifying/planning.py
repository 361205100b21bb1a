"""Makes the plan of a study's other seeds, once its search is over."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count, islice

from sweeper.errors import StudyChangedError
from sweeper.search import attributes as attrs
from sweeper.search.drawing.earlier import earlier_seeds
from sweeper.search.drawing.space import as_plain
from sweeper.search.results import StudyResults, TrialResult
from sweeper.search.store import StudyStore
from sweeper.search.verifying.variants import Variant, experiment_but_for_seed, variants_between
from sweeper.search.verifying.verification import BASELINE, FOLDER, Arm, Plan, keep_plan, read_plan
from sweeper.study import Hyperparameters, StudySpec, VerifySpec

SPEED_TURNS = 15


def begin_plan(store: StudyStore, results: StudyResults, wanted: VerifySpec) -> Plan:
    """The study's plan, as it was made before or made now.

    The study keeps the seeds of every plan that it has had, and a new plan gets others: what is
    asked again of seeds whose losses may have been seen is not asked at all.

    Args:
        store: Of a study whose search is over and whose baseline has completed.
        results: What it has found.
        wanted: What its study file asks for.

    Raises:
        StudyChangedError: The study file asks for another plan than the one that was begun.
    """
    spec = results.spec
    kept = read_plan(spec)
    if kept is None:
        before = _seeds_of_plans(store)
        plan = _new_plan(results, wanted, before, earlier_seeds(spec))
        # First the seeds: those of a plan that is begun must never be free again.
        store.study.set_user_attr(attrs.PLANNED_SEEDS, [*before, [*plan.seeds]])
        keep_plan(spec, plan)
        return plan
    if changes := _changes(kept, wanted):
        raise StudyChangedError(
            f"{spec.path.name}: verify has changed ({', '.join(changes)}). A plan "
            "that is changed once losses are known does not hold its error rate. Change it back. "
            f"Without the folder {spec.output_folder.name}/{FOLDER} it begins again on other "
            "seeds, and the report says that it is another try"
        )
    if not _seeds_of_plans(store):  # it was begun under a version that did not keep them
        store.study.set_user_attr(attrs.PLANNED_SEEDS, [[*kept.seeds]])
    return kept


def _seeds_of_plans(store: StudyStore) -> list[list[int]]:
    """Of each plan that was begun, the oldest first."""
    return list(store.study.user_attrs.get(attrs.PLANNED_SEEDS, []))


def _changes(kept: Plan, wanted: VerifySpec) -> list[str]:
    pairs = [
        ("pairs", [*kept.pairs], [*wanted.pairs]),
        ("alpha", kept.alpha, wanted.alpha),
        ("smallest", kept.smallest, wanted.smallest),
        ("top", kept.top, wanted.top),
        ("ablate", kept.ablate, wanted.ablate),
    ]
    return [f"{name} {old} -> {new}" for name, old, new in pairs if old != new]


def _new_plan(
    results: StudyResults,
    wanted: VerifySpec,
    before: Sequence[Sequence[int]],
    earlier: Collection[int],
) -> Plan:
    """A plan on seeds that neither a trial, nor a plan before it, nor an earlier study had."""
    trained = {trial.hyperparameters.get("seed") for trial in results.trials}
    used = trained.union(earlier, *before)
    free = (seed for seed in count(results.spec.seed + 1) if seed not in used)
    arms = _with_best(results, _hypotheses(results), wanted.top)
    seeds = tuple(islice(free, wanted.pairs[-1]))
    return Plan(
        pairs=wanted.pairs,
        alpha=wanted.alpha,
        seeds=seeds,
        arms=tuple(arms),
        turns=SPEED_TURNS,
        top=wanted.top,
        ablate=wanted.ablate,
        ablation=_variants(results.spec, arms) if wanted.ablate else (),
        num_before=len(before),
        smallest=wanted.smallest,
    )


def _variants(spec: StudySpec, arms: Sequence[Arm]) -> tuple[Variant, ...]:
    best = next((arm for arm in arms if arm.place == 1), None)
    if best is None:
        return ()
    recipe = dict(as_plain(spec.baseline_hyperparameters))
    trained = {experiment_but_for_seed(spec, recipe): BASELINE} | {
        experiment_but_for_seed(spec, arm.hyperparameters): arm.key
        for arm in arms
        if arm.metric == "val_loss"
    }
    return variants_between(spec, Hyperparameters.model_validate(best.hyperparameters), trained)


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


def _with_best(results: StudyResults, arms: Sequence[Arm], top: int) -> list[Arm]:
    """The arms and the best experiments of the search; one that is compared already is not twice.

    A hypothesis about speed is not: its loss was not asked for.
    """
    spec, joined = results.spec, [*arms]
    compared = {
        experiment_but_for_seed(spec, arm.hyperparameters): number
        for number, arm in enumerate(arms)
        if arm.metric == "val_loss"
    }
    for place, trial in enumerate(_best(results, top), 1):
        number = compared.get(experiment_but_for_seed(spec, trial.hyperparameters))
        if number is None:
            joined.append(Arm(None, dict(trial.hyperparameters), "<", trial.number, place=place))
        else:
            joined[number] = replace(joined[number], trial=trial.number, place=place)
    return joined


def _best(results: StudyResults, most: int) -> list[TrialResult]:
    """The best trial of each of the best experiments that ended below the baseline."""
    recipe = dict(as_plain(results.spec.baseline_hyperparameters))
    seen = {experiment_but_for_seed(results.spec, recipe)}
    found: list[TrialResult] = []
    for trial in results.ranked:
        if len(found) == most or not (results.delta(trial) or 0.0) < 0:
            break
        experiment = experiment_but_for_seed(results.spec, trial.hyperparameters)
        if experiment not in seen:
            seen.add(experiment)
            found.append(trial)
    return found
