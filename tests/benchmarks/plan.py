"""What is measured, in which order: arms in turn, so that a slow minute hits them alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweeper.study import Hyperparameters
from tests.benchmarks.equality import compare
from tests.benchmarks.job import Job
from tests.benchmarks.journal import Journal, Payload
from tests.benchmarks.sizes import SIZES, Size, write_base, write_corpus
from tests.benchmarks.trials import (
    SEED,
    default_study_recipes,
    heterogeneous_recipes,
    nominal_recipe,
)

ALONE_STEPS = {"T": 200, "M": 24}
ALONE_REPETITIONS = 3
MEMORY_TRIALS = (1, 2, 4, 8)
MEMORY_STEPS = 12
ORCHESTRATION_TRIALS = (10, 1_000, 10_000)
ORCHESTRATION_REPETITIONS = 5
PRUNING_RUNGS = 6
# What B0 is run again with, where ours differs from it: the same gradients, summed otherwise.
RERUNS: tuple[dict[str, Any], ...] = (
    {"threads": 1},
    {"order_seed": 1},
    {"order_seed": 2},
    {"order_seed": 3},
    {"order_seed": 4, "threads": 1},
)


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
    """

    journal: Journal
    folder: Path
    has_bf16: bool
    has_cuda: bool
    is_quick: bool

    def job(
        self, size: Size, recipes: Sequence[Hyperparameters], tokens: int
    ) -> Callable[[Path], Job]:
        """Makes the job of some recipes on a size, given a folder."""
        model, corpus = size.builtin, "builtin:pydoc-qa"
        if model is None:
            corpus = str(write_corpus(self.folder.resolve() / "qa.md"))
            shape = f"{size.layers}x{size.width}-{size.vocabulary}"
            model = str(write_base(size, self.folder.resolve() / f"base-{shape}", Path(corpus)))
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
    tuning = _tune(bench, size) if _has_tuned_arm(size) else None
    arms = _arms(bench, job, tuning)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in arms}
    for repetition in range(size.repetitions):
        for name in _in_turn(list(arms), repetition):
            arm, payload = arms[name]
            label = f"{size.name}: {name}, {repetition + 1} of {size.repetitions}"
            runs[name].append(bench.journal.measure(label, arm, payload))
    losses = {name: _losses(records[0]) for name, records in runs.items()}
    differing = sorted({n for other in losses for n in compare(losses["B0"], losses[other])})
    return {
        "recipes": [recipe.model_dump() for recipe in recipes],
        "tuning": tuning,
        "runs": runs,
        "reruns": _run_again(bench, size, recipes, differing),
    }


def _has_tuned_arm(size: Size) -> bool:
    return (size.builtin is None and size.num_trials > 4) or size.name in ("T", "M")


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


def _tune(bench: Bench, size: Size) -> dict[str, Any]:
    job = bench.job(size, (), size.tokens_per_trial)
    recipe = nominal_recipe(size).model_dump()
    return bench.journal.measure(
        f"{size.name}: tuning B1", "tuned", lambda at: {"job": job(at).as_dict(), "recipe": recipe}
    )


def _losses(run: Mapping[str, Any]) -> list[float | None]:
    return [trial["val_loss"] for trial in run["trials"]]


def _run_again(
    bench: Bench, size: Size, recipes: Sequence[Hyperparameters], numbers: Sequence[int]
) -> dict[str, Any]:
    """B0 on the trials that differ, by number, with its sums in other orders."""
    if not numbers:
        return {"numbers": [], "losses": []}
    job = bench.job(size, [recipes[n] for n in numbers], size.tokens_per_trial)
    stock = {"bf16": bench.has_cuda and bench.has_bf16}
    losses = []
    for place, changes in enumerate(RERUNS):
        label = f"{size.name}: B0 again, {place + 1} of {len(RERUNS)}"
        settings = {**stock, **changes}
        run = bench.journal.measure(
            label, "stock", lambda at, s=settings: {"job": job(at).as_dict(), "settings": s}
        )
        losses.append(_losses(run))
    return {"numbers": list(numbers), "losses": losses}


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
    runs = []
    for workers in (1, os.cpu_count() or 1):
        for count in trials:
            recipes = [
                nominal.model_copy(update={"learning_rate": 1e-3 + n * 1e-5}) for n in range(count)
            ]
            job = bench.job(size, recipes, MEMORY_STEPS * nominal.tokens_per_step)
            options = {"count": min(workers, count), "threads": 1}
            if workers > 1 and count < workers:
                continue
            run = bench.journal.measure(
                f"memory: {count} trials, {options['count']} workers",
                "memory",
                lambda at, j=job, o=options: {"job": j(at).as_dict(), "workers": o},
            )
            runs.append({**run, "workers": options["count"]})
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
        for sampler in ("tpe", "random")
        for count in counts
    ]
    return {"runs": runs}


def measure_pruning(bench: Bench, sizes: Mapping[str, Size]) -> dict[str, Any]:
    """Ours on the default study, with and without its rules; the same rungs in both."""
    size = sizes["default"]
    job = bench.job(size, recipes_of(size), size.tokens_per_trial)
    runs = {
        name: bench.journal.measure(
            f"pruning: ours, {name}",
            "ours",
            lambda at, p=prune: {
                "job": job(at).as_dict(),
                "options": {"prune": p, "num_rungs": PRUNING_RUNGS},
            },
        )
        for name, prune in (("all trials whole", False), ("default rules", True))
    }
    return {"size": size.name, "runs": runs}


PARTS: dict[str, Callable[[Bench, Mapping[str, Size]], dict[str, Any]]] = {
    "alone": measure_alone,
    "peak": measure_peak,
    "memory": measure_memory,
    "orchestration": measure_orchestration,
    "pruning": measure_pruning,
}


def sizes_to_measure(is_quick: bool, quick: Callable[[Size], Size]) -> dict[str, Size]:
    """All sizes by name, whole or a fraction of each."""
    return {name: quick(size) if is_quick else replace(size) for name, size in SIZES.items()}
