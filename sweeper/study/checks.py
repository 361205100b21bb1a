"""What one part of a study demands of another.

Each check names the parts that it reads, so that it still speaks when another part is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sweeper.study.engine import CommandEngine
from sweeper.study.hyperparameters import with_changes
from sweeper.study.problems import MISSING_KEY, Issue, KeyPath
from sweeper.study.sections import (
    BaselineSpec,
    BudgetSpec,
    DataSpec,
    EvaluateSpec,
    Hypothesis,
    SearchSpec,
    WorkersSpec,
)
from sweeper.study.space import Choice, Dimension, Range, grid_size

_LARGEST_GRID = 100_000

Trials = Sequence[Mapping[str, object]]


def issues_between_sections(sections: Mapping[str, Any]) -> list[Issue]:
    """What is wrong between the parts of a study.

    Args:
        sections: The parts that are valid in themselves, by their keys.
    """
    issues: list[Issue] = []
    for names, check in _CHECKS:
        if all(name in sections for name in names):
            issues += check(*(sections[name] for name in names))
    return issues


def _budget_of_trials(
    budget: BudgetSpec, hypotheses: Sequence[Hypothesis], trials: Trials
) -> Iterator[Issue]:
    needed = 1 + len(hypotheses) + len(trials)
    if budget.trials < needed:
        parts = ["the baseline", _count(hypotheses, "hypothesis", "hypotheses")]
        parts += [_count(trials, "listed trial", "listed trials")] if trials else []
        message = f"{budget.trials} is too few for {' + '.join(parts)}"
        yield Issue(("budget", "trials"), f"{message} (allowed: at least {needed})")


def _count(things: Sequence[object], one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many}"


def _budget_of_tokens(budget: BudgetSpec) -> Iterator[Issue]:
    if budget.tokens is not None and budget.tokens < budget.tokens_per_trial:
        message = f"{budget.tokens} tokens are not enough for one trial"
        allowed = f"allowed: at least budget.tokens_per_trial, {budget.tokens_per_trial}"
        yield Issue(("budget", "tokens"), f"{message} ({allowed})")


def _base_and_data(
    engine: str | CommandEngine, model: str | None, data: DataSpec | None
) -> Iterator[Issue]:
    """A command brings its own base and data, any other engine is given them."""
    given: dict[str, object] = {"model": model, "data": data}
    for name, value in given.items():
        if isinstance(engine, CommandEngine):
            if value is not None:
                yield _not_for_commands((name,))
        elif value is None:
            message = "this key is missing and has no default"
            allowed = "allowed without it: a command of your own, engine: {command: ...}"
            yield Issue((name,), f"{message} ({allowed})", MISSING_KEY)


def _not_for_commands(path: KeyPath) -> Issue:
    message = "a command brings this with it, and would never see this value"
    return Issue(path, f"{message} (allowed: leave it out where the engine is a command)")


def _slots_of_an_engine(engine: str | CommandEngine, workers: WorkersSpec) -> Iterator[Issue]:
    """Only the packed engine trains several trials at a time in one process."""
    if workers.slots in ("auto", 1) or engine in ("auto", "packed"):
        return
    name = "a command" if isinstance(engine, CommandEngine) else engine
    message = f"{name} trains one trial at a time in a worker, not {workers.slots}"
    allowed = "allowed: auto, 1; or more workers; or engine: packed"
    yield Issue(("workers", "slots"), f"{message} ({allowed})")


def _test_documents(
    data: DataSpec | None, evaluate: EvaluateSpec, search: SearchSpec
) -> Iterator[Issue]:
    """What a search was told of is no test any more."""
    if data is not None and data.validation + (data.test or 0) >= 1:
        message = f"with {data.validation:.0%} for validation nothing is left to train on"
        yield Issue(("data", "test"), f"{message} (allowed: less than 100% together)")
    if evaluate.split != "test":
        return
    if data is None or data.test is None:
        message = "there are no test documents (allowed: validation; or test with data.test)"
        yield Issue(("evaluate", "split"), message)
    if search.sampler != "list":
        message = f"the sampler {search.sampler} would choose by the test documents"
        allowed = "allowed: validation; or test with search.sampler: list"
        yield Issue(("evaluate", "split"), f"{message} ({allowed})")


def _evaluation_by_a_command(
    engine: str | CommandEngine, evaluate: EvaluateSpec
) -> Iterator[Issue]:
    if isinstance(engine, CommandEngine):
        for name in ("block_size", "first_tokens", "tokens", "split"):
            if getattr(evaluate, name) != EvaluateSpec.model_fields[name].default:
                yield _not_for_commands(("evaluate", name))


def _evaluation(
    engine: str | CommandEngine, evaluate: EvaluateSpec, budget: BudgetSpec
) -> Iterator[Issue]:
    if evaluate.every_tokens > budget.tokens_per_trial:
        message = f"{evaluate.every_tokens} is beyond the trial's end"
        allowed = f"allowed: at most budget.tokens_per_trial, {budget.tokens_per_trial}"
        yield Issue(("evaluate", "every_tokens"), f"{message} ({allowed})")
    if evaluate.first_tokens is not None and evaluate.first_tokens > evaluate.every_tokens:
        message = f"{evaluate.first_tokens} is beyond the next evaluation"
        allowed = f"allowed: at most evaluate.every_tokens, {evaluate.every_tokens}"
        yield Issue(("evaluate", "first_tokens"), f"{message} ({allowed})")
    if isinstance(engine, CommandEngine):
        return
    yield from _fits(("evaluate", "block_size"), evaluate.block_size, budget)
    if evaluate.tokens is not None and evaluate.tokens < evaluate.block_size:
        message = f"{evaluate.tokens} tokens do not fill one block"
        allowed = f"allowed: at least evaluate.block_size, {evaluate.block_size}"
        yield Issue(("evaluate", "tokens"), f"{message} ({allowed})")


def _baseline_block(baseline: BaselineSpec, budget: BudgetSpec) -> Iterator[Issue]:
    path = ("baseline", "hyperparameters", "block_size")
    yield from _fits(path, baseline.hyperparameters.block_size, budget)


def _searched_blocks(space: Mapping[str, Dimension], budget: BudgetSpec) -> Iterator[Issue]:
    dimension = space.get("block_size")
    if isinstance(dimension, Choice):
        for index, value in enumerate(dimension.values):
            yield from _fits(("space", "block_size", index), value, budget)
    elif isinstance(dimension, Range):
        yield from _fits(("space", "block_size", "high"), dimension.high, budget)


def _hypothesis_blocks(hypotheses: Sequence[Hypothesis], budget: BudgetSpec) -> Iterator[Issue]:
    for index, hypothesis in enumerate(hypotheses):
        path = ("hypotheses", index, "change", "block_size")
        yield from _fits(path, hypothesis.change.get("block_size"), budget)


def _listed_blocks(trials: Trials, budget: BudgetSpec) -> Iterator[Issue]:
    for index, trial in enumerate(trials):
        yield from _fits(("trials", index, "block_size"), trial.get("block_size"), budget)


def _fits(path: KeyPath, block_size: object, budget: BudgetSpec) -> Iterator[Issue]:
    if isinstance(block_size, int) and block_size > budget.tokens_per_trial:
        message = f"a block of {block_size} tokens is longer than a trial"
        allowed = f"allowed: at most budget.tokens_per_trial, {budget.tokens_per_trial}"
        yield Issue(path, f"{message} ({allowed})")


def _sampler_and_space(search: SearchSpec, space: Mapping[str, Dimension]) -> Iterator[Issue]:
    if not space and search.sampler != "list":
        yield Issue(
            ("space",),
            f"the sampler {search.sampler} has nothing to search "
            "(allowed: one hyperparameter or more, or search.sampler: list)",
        )
    if search.sampler == "grid":
        yield from _grid(space)


def _grid(space: Mapping[str, Dimension]) -> Iterator[Issue]:
    endless = [name for name, d in space.items() if isinstance(d, Range) and d.step is None]
    for name in endless:
        message = "the sampler grid needs a list of values or a step"
        yield Issue(("space", name), f"{message} (allowed: a list, or {{low, high, step}})")
    if not endless and (size := grid_size(space)) > _LARGEST_GRID:
        message = f"the grid has {size} points (allowed: at most {_LARGEST_GRID})"
        yield Issue(("space",), message)


def _warm_start(search: SearchSpec) -> Iterator[Issue]:
    if search.warm_start is not None and search.sampler not in ("tpe", "gp", "cmaes"):
        message = f"the sampler {search.sampler} learns nothing from earlier trials"
        yield Issue(("search", "warm_start"), f"{message} (allowed with: tpe, gp, cmaes)")


def _conditions(search: SearchSpec, space: Mapping[str, Dimension]) -> Iterator[Issue]:
    """A condition speaks of listed values of what is itself searched everywhere."""
    for name, conditions in search.only_where.items():
        path = ("search", "only_where", name)
        if name not in space:
            yield Issue(path, f"{name} is not searched (allowed: {', '.join(space) or 'nothing'})")
        if search.sampler == "grid":
            yield Issue(path, "a grid is searched everywhere (allowed with any other sampler)")
        for other, values in conditions.items():
            choice = space.get(other)
            if not isinstance(choice, Choice) or other in search.only_where:
                message = f"{other} is not a list that is searched everywhere"
                yield Issue((*path, other), f"{message} (allowed: such a list of the space)")
            elif unknown := [value for value in values if value not in choice.values]:
                allowed = ", ".join(map(str, choice.values))
                message = f"{unknown[0]} is not among its values (allowed: {allowed})"
                yield Issue((*path, other), message)


def _sampler_and_trials(search: SearchSpec, trials: Trials) -> Iterator[Issue]:
    if search.sampler == "list" and not trials:
        message = "the sampler list needs trials (allowed: a list of changes to the baseline)"
        yield Issue(("trials",), message)
    if search.sampler != "list" and trials:
        message = f"the sampler {search.sampler} does not run listed trials"
        yield Issue(("trials",), f"{message} (allowed with search.sampler: list)")


def _names(hypotheses: Sequence[Hypothesis]) -> Iterator[Issue]:
    seen: set[str] = set()
    for index, hypothesis in enumerate(hypotheses):
        if hypothesis.name in seen:
            message = f"{hypothesis.name!r} is used twice (allowed: a name of its own)"
            yield Issue(("hypotheses", index, "name"), message)
        seen.add(hypothesis.name)


def _real_changes(
    hypotheses: Sequence[Hypothesis], baseline: BaselineSpec, seed: int
) -> Iterator[Issue]:
    own_seed = baseline.hyperparameters.seed
    start = with_changes(baseline.hyperparameters, {"seed": seed if own_seed is None else own_seed})
    for index, hypothesis in enumerate(hypotheses):
        change = {**hypothesis.change}
        if change.get("seed", seed) is None:
            change["seed"] = seed
        if with_changes(start, change) == start:
            message = "the baseline has these values already (allowed: a change to it)"
            yield Issue(("hypotheses", index, "change"), message)


def _artifacts(artifacts: str | None, storage: str) -> Iterator[Issue]:
    """Who does not see the study's folder does not see a database in it either."""
    if artifacts is not None and storage == "default":
        message = "workers elsewhere cannot see storage: default, which lies in the study's folder"
        allowed = "allowed: null; or a storage of postgresql://, grpc:// or an absolute path"
        yield Issue(("artifacts",), f"{message} ({allowed})")


_CHECKS: tuple[tuple[tuple[str, ...], Callable[..., Iterator[Issue]]], ...] = (
    (("budget", "hypotheses", "trials"), _budget_of_trials),
    (("budget",), _budget_of_tokens),
    (("engine", "model", "data"), _base_and_data),
    (("data", "evaluate", "search"), _test_documents),
    (("engine", "evaluate"), _evaluation_by_a_command),
    (("engine", "workers"), _slots_of_an_engine),
    (("engine", "evaluate", "budget"), _evaluation),
    (("baseline", "budget"), _baseline_block),
    (("space", "budget"), _searched_blocks),
    (("hypotheses", "budget"), _hypothesis_blocks),
    (("trials", "budget"), _listed_blocks),
    (("search", "space"), _sampler_and_space),
    (("search", "space"), _conditions),
    (("search",), _warm_start),
    (("search", "trials"), _sampler_and_trials),
    (("hypotheses",), _names),
    (("hypotheses", "baseline", "seed"), _real_changes),
    (("artifacts", "storage"), _artifacts),
)
