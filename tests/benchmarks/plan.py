"""What is measured, in which order: arms in turn, so that a slow minute hits them alike."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweeper.study import Hyperparameters
from tests.benchmarks.job import Job
from tests.benchmarks.journal import Journal, Payload
from tests.benchmarks.sizes import SIZES, Size, write_base, write_corpus
from tests.benchmarks.trials import (
    SEED,
    default_study_recipes,
    heterogeneous_recipes,
    nominal_recipe,
)
from tests.benchmarks.verdicts import equality, uses_bf16

ALONE_STEPS = {"T": 200, "M": 24}
ALONE_REPETITIONS = 3
MEMORY_TRIALS = (1, 4, 8)
MEMORY_STEPS = 12
IMPORTS_REPETITIONS = 3
ORCHESTRATION_TRIALS = (10, 1_000, 10_000)
ORCHESTRATION_REPETITIONS = 5
SCALE_TRIALS = 10_000
BESIDE_SLOTS = (1, 4)
BESIDE_TRIALS = 6
BESIDE_TOKENS, QUICK_BESIDE_TOKENS = 240_000, 50_000  # the former: those of the default study
QUICK_SCALE_TRIALS = 100
PRUNING_RUNGS = 6
# Under how many orders of its sums B0 is run again on what differs; on what is then still farther
# from it than it is from itself, or as it always was, once more under so many: some trials fall one
# way or the other, and a few runs may all have fallen alike.
RERUNS = (4, 20)


Arm = tuple[str, Payload]  # a module, and what it is told


@dataclass(frozen=True)
class Bench:
    """What all measurements share.

    Attributes:
        journal: Runs them.
        folder: Keeps bases and corpus.
        has_bf16: Whether the machine has bf16 arithmetic.
        has_cuda: Whether it has a CUDA device.
        is_quick: Whether only a fraction is wanted.
        num_trials: Of the large study; None: as many as belong to the bench.
    """

    journal: Journal
    folder: Path
    has_bf16: bool
    has_cuda: bool
    is_quick: bool
    num_trials: int | None = None

    def job(
        self, size: Size, recipes: Sequence[Hyperparameters], tokens: int
    ) -> Callable[[Path], Job]:
        """Makes the job of some recipes on a size, given a folder."""
        model, corpus = size.builtin, "builtin:pydoc-qa"
        if model is None:
            corpus = str(write_corpus(self.folder.resolve() / "qa.md"))
            folder = self.folder.resolve() / f"base-{size.shape}"
            model = str(write_base(size, folder, Path(corpus)))
        return lambda scratch: Job(
            model=model,
            corpus=corpus,
            block_size=size.block_size,
            evaluation_tokens=size.evaluation_tokens,
            tokens_per_trial=tokens,
            seed=SEED,
            recipes=tuple(recipes),
            folder=scratch,
        )


def recipes_of(size: Size) -> list[Hyperparameters]:
    """The size's list of trials."""
    every = default_study_recipes() if size.builtin else heterogeneous_recipes(size)
    return every[: size.num_trials]


# ------------------------------------------------------------------------- a size's arms


def measure_size(bench: Bench, size: Size) -> dict[str, Any]:
    """All arms of a size in turn, and B0 again for what differs."""
    recipes = recipes_of(size)
    job = bench.job(size, recipes, size.tokens_per_trial)
    tuning = _tune(bench, size) if size.tuned_repetitions else None
    arms = _arms(bench, job, tuning)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in arms}
    for repetition in range(size.repetitions):
        for name in _in_turn(list(arms), repetition):
            if name == "B1" and repetition >= size.tuned_repetitions:
                continue
            arm, payload = arms[name]
            label = f"{size.name}: {name}, {repetition + 1} of {size.repetitions}"
            runs[name].append(bench.journal.measure(label, arm, payload))
    part = {
        "recipes": [recipe.model_dump() for recipe in recipes],
        "tuning": tuning,
        "imports_s": _imports_s(bench),
        "runs": runs,
        "machine": {"has_bf16": bench.has_bf16},
        "reruns": {},
        "reruns_bf16": {},
    }
    _run_again(bench, size, part)
    return {key: value for key, value in part.items() if key != "machine"}


def _arms(
    bench: Bench, job: Callable[[Path], Job], tuning: Mapping[str, Any] | None
) -> dict[str, Arm]:
    """Every arm's module and payload. On a GPU the stock arm runs in bf16, as people do there."""
    stock = {"bf16": bench.has_cuda and bench.has_bf16}
    arms: dict[str, Arm] = {
        "B0": ("stock", lambda at: {"job": job(at).as_dict(), "settings": stock})
    }
    if tuning is not None:
        tuned = tuning["settings"]
        arms["B1"] = ("stock", lambda at: {"job": job(at).as_dict(), "settings": tuned})
    arms["ours"] = ("ours", lambda at: {"job": job(at).as_dict()})
    if bench.has_bf16:
        options = {"precision": "fp32"}
        arms["ours, fp32"] = ("ours", lambda at: {"job": job(at).as_dict(), "options": options})
    return arms


def _in_turn(names: list[str], repetition: int) -> list[str]:
    start = repetition % len(names)
    return names[start:] + names[:start]


def _imports_s(bench: Bench) -> float:
    """What a worker of ours imports once it holds a trial, in seconds; the same for all sizes."""
    size = SIZES["T"]
    job = bench.job(size, recipes_of(size)[:2], 4 * size.batch_size * size.block_size)
    seconds = [
        bench.journal.measure(
            f"imports of a worker, {n + 1} of {IMPORTS_REPETITIONS}",
            "imports",
            lambda at: {"job": job(at).as_dict()},
        )["imports_s"]
        for n in range(IMPORTS_REPETITIONS)
    ]
    return statistics.median(seconds)


def _tune(bench: Bench, size: Size) -> dict[str, Any]:
    job = bench.job(size, (), size.tokens_per_trial)
    recipe = nominal_recipe(size).model_dump()
    return bench.journal.measure(
        f"{size.name}: tuning B1", "tuned", lambda at: {"job": job(at).as_dict(), "recipe": recipe}
    )


def _run_again(bench: Bench, size: Size, part: dict[str, Any]) -> None:
    """B0 on the trials that differ, in other orders; its losses go into the part's `reruns`.

    Where an arm computes in bf16, B0 does so too: what rounding alone does to a trial.
    """
    arms = [arm for arm in part["runs"] if arm != "B0"]
    in_bf16 = [arm for arm in arms if uses_bf16(part, arm)]
    in_fp32 = [arm for arm in arms if arm not in in_bf16]
    for kept, judged, is_bf16 in (("reruns", in_fp32, False), ("reruns_bf16", in_bf16, True)):
        differing = sorted({d.number for arm in judged for d in equality(part, arm).differing})
        for stage, count in enumerate(RERUNS):
            if not differing:
                break
            first = sum(RERUNS[:stage])
            orders = range(first, first + count)
            more = _losses_again(bench, size, differing, orders, is_bf16=is_bf16)
            for number, again in more.items():
                part[kept][number] = [*part[kept].get(number, ()), *again]
            found = [difference for arm in judged for difference in equality(part, arm).differing]
            # Few orders may show neither that a trial is unstable nor how far it strays.
            differing = sorted({d.number for d in found if not (d.is_within and d.is_unstable)})


def _losses_again(
    bench: Bench, size: Size, numbers: Sequence[int], orders: Iterable[int], *, is_bf16: bool
) -> dict[str, list[float | None]]:
    """B0's final losses by the trial's number; one order has one thread and the usual blocks."""
    recipes = recipes_of(size)
    job = bench.job(size, [recipes[number] for number in numbers], size.tokens_per_trial)
    settings = [{"bf16": is_bf16, **({"order_seed": n} if n else {"threads": 1})} for n in orders]
    name = "B0 in bf16" if is_bf16 else "B0"
    run = bench.journal.measure(
        f"{size.name}: {name} again in {len(settings)} orders, "
        f"trials {', '.join(map(str, numbers))}",
        "again",
        lambda at: {"job": job(at).as_dict(), "settings": settings},
    )
    by_trial = zip(*run["losses"], strict=True)
    return {str(number): [*again] for number, again in zip(numbers, by_trial, strict=True)}


# ------------------------------------------------------------------------- the other parts


def measure_alone(bench: Bench, sizes: Mapping[str, Size]) -> dict[str, Any]:
    """One trial by the hand-written loop and by ours, in turn."""
    threads = os.cpu_count() or 1
    found: dict[str, Any] = {}
    for name in ("T", "M"):
        recipe = nominal_recipe(sizes[name])
        steps = 12 if bench.is_quick else ALONE_STEPS[name]
        job = bench.job(sizes[name], [recipe], steps * recipe.tokens_per_step)
        runs: dict[str, list[Any]] = {"lean": [], "alone": []}
        for repetition in range(1 if bench.is_quick else ALONE_REPETITIONS):
            for arm in _in_turn(list(runs), repetition):
                label = f"{name}: one trial, {arm}, {repetition + 1}"
                runs[arm].append(
                    bench.journal.measure(
                        label, arm, lambda at, j=job: {"job": j(at).as_dict(), "threads": threads}
                    )
                )
        found[name] = {"runs": runs, "steps": steps, "recipe": recipe.model_dump()}
    return found


def measure_peak(bench: Bench, sizes: Mapping[str, Size]) -> dict[str, Any]:
    """The machine's own matrix products."""
    return bench.journal.measure("GEMM peak", "gemm", lambda _: {})


def measure_memory(bench: Bench, sizes: Mapping[str, Size]) -> dict[str, Any]:
    """Studies of several trials on size M: in one worker, and with as many as there are cores."""
    size = sizes["M"]
    nominal = nominal_recipe(size)
    trials = MEMORY_TRIALS[:2] if bench.is_quick else MEMORY_TRIALS
    cores = os.cpu_count() or 1
    runs = []
    for workers, count in (*((1, count) for count in trials), (cores, trials[-1])):
        recipes = [
            nominal.model_copy(update={"learning_rate": 1e-3 + n * 1e-5}) for n in range(count)
        ]
        job = bench.job(size, recipes, MEMORY_STEPS * nominal.tokens_per_step)
        options = {"count": workers, "threads": 1, "slots": max(count // workers, 1)}
        run = bench.journal.measure(
            f"memory: {count} trials, {workers} workers",
            "memory",
            lambda at, j=job, o=options: {"job": j(at).as_dict(), "workers": o},
        )
        runs.append({**run, "workers": workers})
    return {"size": size.name, "runs": runs}


def measure_orchestration(bench: Bench, sizes: Mapping[str, Size]) -> dict[str, Any]:
    """A trial's calls in studies of 10, 1,000 and 10,000 trials."""
    counts = ORCHESTRATION_TRIALS[:2] if bench.is_quick else ORCHESTRATION_TRIALS
    runs = [
        bench.journal.measure(
            f"orchestration: {count:,} trials, {sampler}",
            "orchestration",
            lambda at, c=count, s=sampler: {
                "folder": str(at),
                "num_trials": c,
                "sampler": s,
                "repetitions": ORCHESTRATION_REPETITIONS,
            },
        )
        for sampler, count in (*(("tpe", count) for count in counts), ("random", counts[-1]))
    ]
    return {"runs": runs}


def measure_beside(bench: Bench, sizes: Mapping[str, Size]) -> dict[str, Any]:
    """What the default study's first trials spend beside their steps, alone and four at a time."""
    recipes = [recipe.model_dump(mode="json") for recipe in default_study_recipes()]
    payload = {
        "recipes": recipes[: 2 if bench.is_quick else BESIDE_TRIALS],
        "tokens": QUICK_BESIDE_TOKENS if bench.is_quick else BESIDE_TOKENS,
    }
    runs = [
        bench.journal.measure(
            f"beside the steps, {slots} at a time",
            "beside",
            lambda at, s=slots: {**payload, "slots": s, "folder": str(at)},
        )
        for slots in BESIDE_SLOTS
    ]
    return {"runs": runs}


def measure_scale(bench: Bench, sizes: Mapping[str, Size]) -> dict[str, Any]:
    """Opening, going on with and reporting a study of very many finished trials."""
    count = bench.num_trials or (QUICK_SCALE_TRIALS if bench.is_quick else SCALE_TRIALS)
    return bench.journal.measure(
        f"scale: {count:,} trials", "scale", lambda at: {"folder": str(at), "num_trials": count}
    )


def measure_pruning(bench: Bench, sizes: Mapping[str, Size]) -> dict[str, Any]:
    """Ours on the default study with its rules, and the evaluations that they go by."""
    size = sizes["default"]
    job = bench.job(size, recipes_of(size), size.tokens_per_trial)
    run = bench.journal.measure(
        "pruning: ours, default rules",
        "ours",
        lambda at: {
            "job": job(at).as_dict(),
            "options": {"prune": True, "num_rungs": PRUNING_RUNGS},
        },
    )
    return {"size": size.name, "tokens_per_trial": size.tokens_per_trial, "run": run}


PARTS: dict[str, Callable[[Bench, Mapping[str, Size]], dict[str, Any]]] = {
    "alone": measure_alone,
    "peak": measure_peak,
    "memory": measure_memory,
    "orchestration": measure_orchestration,
    "beside": measure_beside,
    "scale": measure_scale,
    "pruning": measure_pruning,
}


def sizes_to_measure(is_quick: bool, quick: Callable[[Size], Size]) -> dict[str, Size]:
    """All sizes by name, whole or a fraction of each."""
    return {name: quick(size) if is_quick else replace(size) for name, size in SIZES.items()}
