"""Who trains a study: workers, threads of each and trials at a time, chosen by measurement."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.files import write_durably
from sweeper.search.workers.clusters import cluster_of, is_on_cluster
from sweeper.search.workers.gpus import found_gpus
from sweeper.search.workers.probing import BLIND_SAMPLERS, Measurement, Tell, best_of, measure_ways
from sweeper.search.workers.trainers import new_trainer
from sweeper.study import StudySpec
from sweeper.training.setup import PrecisionChoice, Setup

# Below so many tokens in all, measuring takes longer than it can save.
WORTH_MEASURING_TOKENS = 2_000_000
ASSUMED_SLOTS = 4
_FILE = "crew.json"


@dataclass(frozen=True)
class Crew:
    """How many workers, with what each.

    Attributes:
        count: Worker processes.
        threads: CPU threads of each.
        slots: Trials that each trains at a time.
        precision: What `precision: auto` came to; None where each worker finds out.
        measured: What the choice rests on; empty where nothing was measured.
    """

    count: int
    threads: int
    slots: int = 1
    precision: PrecisionChoice | None = None
    measured: tuple[Measurement, ...] = ()

    @property
    def setup(self) -> Setup:
        """What each worker trains with."""
        return Setup(self.threads, self.slots, self.precision)


def num_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def assumed_crew(spec: StudySpec) -> Crew:
    """A crew without measuring: one worker per core, or one per GPU.

    A GPT-2 of this size keeps one core busy, but not two: two workers of one
    thread see more tokens per second than one of two. Several trials at a time
    cost nothing where no result is waited for, and save most where a step is
    short; a sampler that learns gets them only where it was measured that they gain.
    """
    if is_on_cluster(spec):
        return _cluster_crew(spec)
    cores = num_cores()
    if spec.workers.backend == "inline":
        return Crew(1, _threads(spec, 1), _assumed_slots(spec, 1))
    alone = new_trainer(spec).has_accelerator()
    wanted = spec.workers.count
    room = max(len(found_gpus(os.environ)), 1) if alone else cores
    count = min(room, spec.budget.trials) if wanted == "auto" else wanted
    return Crew(count, _threads(spec, count), _assumed_slots(spec, count))


def _cluster_crew(spec: StudySpec) -> Crew:
    """As many workers as the cluster has room for, each with its share of a machine."""
    with cluster_of(spec) as cluster:
        assert cluster is not None, "asked for on a cluster alone"
        room, threads = cluster.count_workers()
    workers = spec.workers
    count = room if workers.count == "auto" else workers.count
    count = min(count, spec.budget.trials)
    threads = threads if workers.threads == "auto" else workers.threads
    return Crew(count, threads, _assumed_slots(spec, count))


def _assumed_slots(spec: StudySpec, count: int) -> int:
    if spec.workers.slots != "auto":
        return spec.workers.slots
    may_pack = spec.engine in ("auto", "packed") and spec.workers.backend != "inline"
    if not may_pack or spec.search.sampler not in BLIND_SAMPLERS:
        return 1
    return max(min(ASSUMED_SLOTS, spec.budget.trials // count), 1)


def _threads(spec: StudySpec, count: int) -> int:
    threads = spec.workers.threads
    return max(num_cores() // count, 1) if threads == "auto" else threads


def choose_crew(spec: StudySpec, tell: Tell, stop_file: Path) -> Crew:
    """The crew that trains most tokens a second here, as it was chosen before or measured now.

    Kept in the study's folder, with the numbers; a study that goes on on another machine is
    measured anew.

    Args:
        spec: The study; its base must be there.
        tell: Told how far the measuring is.
        stop_file: When it appears, the measuring ends at once, and nothing is kept.

    Raises:
        MeasuringStopped: The stop file appeared.
        SweeperError: No worker could start, or the base cannot be loaded.
    """
    assumed = assumed_crew(spec)
    if not is_measured(spec):
        return assumed
    path, situation = spec.output_folder / _FILE, _situation(spec)
    kept = _read(path, situation)
    if kept is not None:
        return kept
    precision, measured = measure_ways(spec, _ways(spec, assumed), tell, stop_file)
    best = best_of(measured)
    crew = Crew(best.count, best.threads, best.slots, precision, tuple(measured))
    content = {"situation": situation, "crew": _plain(crew)}
    write_durably(path, json.dumps(content, indent=2).encode())
    return crew


def known_crew(spec: StudySpec) -> Crew:
    """The crew as it was chosen before, or else as assumed; nothing is measured."""
    return _read(spec.output_folder / _FILE, _situation(spec)) or assumed_crew(spec)


def single_crew(spec: StudySpec) -> Crew:
    """One worker by hand, with all that this process may use, whatever the study's backend is."""
    alone = spec.workers.model_copy(update={"backend": "loky", "address": None})
    spec = spec.model_copy(update={"workers": alone})
    known = known_crew(spec)
    return Crew(1, _threads(spec, 1), known.slots, known.precision)


def is_measured(spec: StudySpec) -> bool:
    """Whether a study's crew is chosen by measurement, when it begins."""
    is_ours = spec.workers.backend == "loky" and spec.command is None
    tokens = spec.budget.trials * spec.budget.tokens_per_trial
    return is_ours and tokens >= WORTH_MEASURING_TOKENS


def _situation(spec: StudySpec) -> dict[str, Any]:
    """What a choice holds for."""
    return {
        "machine": f"{platform.node()} {platform.machine()} {platform.processor()}".strip(),
        "cores": num_cores(),
        "accelerator": new_trainer(spec).has_accelerator(),
        "workers": spec.workers.model_dump(mode="json"),
        "trials": spec.budget.trials,
    }


def _read(path: Path, situation: dict[str, Any]) -> Crew | None:
    try:
        content = json.loads(path.read_bytes())
        crew = content["crew"] if content["situation"] == situation else None
        return None if crew is None else _crew_from(crew)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or not ours: it costs seconds to measure again


def _plain(crew: Crew) -> dict[str, Any]:
    return {
        "count": crew.count,
        "threads": crew.threads,
        "slots": crew.slots,
        "precision": crew.precision and crew.precision.as_dict(),
        "measured": [vars(m) for m in crew.measured],
    }


def _crew_from(plain: dict[str, Any]) -> Crew:
    return Crew(
        plain["count"],
        plain["threads"],
        plain["slots"],
        plain["precision"] and PrecisionChoice(**plain["precision"]),
        tuple(Measurement(**m) for m in plain["measured"]),
    )


def _ways(spec: StudySpec, assumed: Crew) -> list[tuple[int, int]]:
    """Numbers of workers with the threads of each: all that share the machine evenly."""
    counts = [assumed.count]
    while counts[-1] > 1 and spec.workers.count == "auto":
        counts.append(counts[-1] // 2)
    return [(count, _threads(spec, count)) for count in counts]
