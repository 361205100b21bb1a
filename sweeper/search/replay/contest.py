"""All arms over many seeds, in as many processes as there are processors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sweeper.search.replay.arms import Arm
from sweeper.search.replay.bank import Bank
from sweeper.search.replay.simulation import Simulated, simulate
from sweeper.search.replay.summary import Summary, summarize
from sweeper.search.workers.crew import num_cores
from sweeper.study import StudySpec

_SEEDS_AT_ONCE = 5  # of a task: many small ones show progress


@dataclass(frozen=True)
class Terms:
    """What all arms of a contest share.

    Attributes:
        spec: The study; its sampler is replaced by each of `samplers`.
        bank: Curves of its space.
        samplers: Names, as in a study file.
        seeds: Seeds of the search, one simulated study each.
        tokens: That each of these may spend.
        workers: Trials at a time.
    """

    spec: StudySpec
    bank: Bank
    samplers: tuple[str, ...]
    seeds: tuple[int, ...]
    tokens: int
    workers: int


@dataclass(frozen=True)
class Standing:
    """How one arm did with one sampler.

    Attributes:
        sampler: Its name.
        arm: The arm's.
        is_stock: Whether one of Optuna's pruners ended its trials.
        summary: What its studies came to.
    """

    sampler: str
    arm: str
    is_stock: bool
    summary: Summary


def hold_contest(
    terms: Terms, arms: Sequence[Arm], tell: Callable[[str, int, int], None]
) -> list[Standing]:
    """Simulate every arm with every sampler and seed.

    Args:
        terms: What they share.
        arms: What is compared.
        tell: Told how far it is.

    Raises:
        UsageError: The study draws what the bank does not have.
    """
    from joblib import Parallel, delayed

    pairs = [(sampler, arm) for sampler in terms.samplers for arm in arms]
    parts = [
        terms.seeds[i : i + _SEEDS_AT_ONCE] for i in range(0, len(terms.seeds), _SEEDS_AT_ONCE)
    ]
    tasks = [(place, seeds) for place in range(len(pairs)) for seeds in parts]
    found: dict[int, list[Simulated]] = {place: [] for place in range(len(pairs))}
    answers: Iterator[list[Simulated]] = Parallel(n_jobs=num_cores(), return_as="generator")(
        delayed(_simulated)(terms, *pairs[place], seeds) for place, seeds in tasks
    )
    for done, ((place, _), studies) in enumerate(zip(tasks, answers, strict=True), start=1):
        found[place] += studies
        sampler, arm = pairs[place]
        tell(f"{sampler}, {arm.name}", done, len(tasks))
    return [
        Standing(sampler, arm.name, arm.pruner is not None, summarize(found[place], terms.tokens))
        for place, (sampler, arm) in enumerate(pairs)
    ]


def _simulated(terms: Terms, sampler: str, arm: Arm, seeds: Sequence[int]) -> list[Simulated]:
    search = terms.spec.search.model_copy(update={"sampler": sampler})
    spec = terms.spec.model_copy(update={"search": search})
    return [
        simulate(spec, terms.bank, arm, tokens=terms.tokens, workers=terms.workers, seed=seed)
        for seed in seeds
    ]
