"""Ours, by the door that `sweeper run` uses: a study file, `run_study`, a folder of results."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from sweeper.curves import Point, read_curve
from sweeper.search import attributes as attrs
from sweeper.search.runner import run_study
from sweeper.search.store import StudyStore
from sweeper.search.workers.pool import close_pool
from sweeper.study import Hyperparameters, StudySpec, load_study
from tests.benchmarks.descendants import reap_orphans
from tests.benchmarks.job import VALIDATION_SHARE, ArmRecord, Clock, Job, TrialRecord

CREW_FILE = "crew.json"  # in a study's folder


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The arm as a process runs it."""
    return run_job(Job.read(payload["job"]), **payload.get("options", {})).as_dict()


def run_job(
    job: Job,
    *,
    precision: str = "auto",
    workers: Mapping[str, Any] | None = None,
    prune: bool = False,
    num_rungs: int = 1,
) -> ArmRecord:
    """Run a job as a study.

    Args:
        job: What to train.
        precision: Of every trial.
        workers: The study file's section; None for its default, `auto`.
        prune: Whether the default rules may end a trial early.
        num_rungs: Evaluations in the course of a trial.
    """
    spec = write_study(job, precision, workers, prune, num_rungs)
    told_at: list[float] = []
    began_at, clock = time.time(), Clock()
    run_study(spec, observe=lambda _: None, tell=lambda *_: told_at.append(time.time()))
    inclusive_s = clock.wall_s()
    close_pool()
    reap_orphans()
    cpu_s = clock.cpu_s()
    trials = StudyStore(spec, create=False).trials()
    spans = [(_unix(trial.datetime_start), _unix(trial.datetime_complete)) for trial in trials]
    first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
    choosing_s = _choosing_s(spec, told_at)
    notes = {
        "crew": _crew(spec),
        "choosing_s": choosing_s,
        "at_once": _most_at_once(spans),
        **_told_by_manifests(spec),
    }
    return ArmRecord(
        wall_s=last - first + choosing_s,
        cpu_s=cpu_s,
        inclusive_s=inclusive_s,
        start_s=first - began_at - choosing_s,
        trials=[_record(trial.user_attrs) for trial in trials],
        notes=notes,
    )


def _choosing_s(spec: StudySpec, told_at: Sequence[float]) -> float:
    """Seconds of measuring who should train, of which a study tells while it does.

    The base is at hand, so there is nothing else to tell of. It is work that others leave to the
    user, and counts as part of the study.
    """
    if not told_at:
        return 0.0
    chosen = spec.output_folder / CREW_FILE
    return max(told_at[-1], chosen.stat().st_mtime if chosen.is_file() else 0.0) - told_at[0]


def _crew(spec: StudySpec) -> dict[str, Any]:
    """Workers, threads and slots as the study chose them, where it wrote them down."""
    chosen = spec.output_folder / CREW_FILE
    if not chosen.is_file():
        return {}
    crew: dict[str, Any] = json.loads(chosen.read_text("utf-8"))["crew"]
    return crew


def _unix(moment: Any) -> float:
    assert moment is not None, "every trial has begun and ended"
    return float(moment.timestamp())


def _most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """The most trials that were held at one moment: just before the end of some of them."""
    return max(sum(begin < end <= other_end for begin, other_end in spans) for _, end in spans)


def _record(values: Mapping[str, Any]) -> TrialRecord:
    assert values.get(attrs.SAME_AS) is None, "no two trials of a list are the same experiment"
    return TrialRecord(
        val_loss=values[attrs.VAL_LOSS],
        training_s=values[attrs.SECONDS],
        tokens=values[attrs.TOKENS],
        stop_reason=values[attrs.STOP_REASON],
    )


def _told_by_manifests(spec: StudySpec) -> dict[str, list[Any]]:
    """Threads, kernels, the precisions that `auto` became, and what runs adapted to."""
    from sweeper.training.manifest import read_manifest

    paths = sorted(spec.output_folder.glob("trials/*/manifest.json"))
    manifests = [read_manifest(path) for path in paths]
    notes = {note for m in manifests if m.result for note in m.result.notes}
    precisions = {manifest.plan.hyperparameters.precision for manifest in manifests}
    threads = {manifest.plan.threads for manifest in manifests}
    return {
        "kernels": sorted({m.fingerprints.dependencies["kernels"] for m in manifests}),
        "precisions": sorted(precisions),
        "threads": sorted(threads),
        "training_notes": sorted(notes),
    }


def write_study(
    job: Job,
    precision: str,
    workers: Mapping[str, Any] | None,
    prune: bool,
    num_rungs: int,
) -> StudySpec:
    """The study file of a job, read as the program reads it; the first trial is the baseline."""
    rule = "default" if prune else "off"
    recipes = [_plain(recipe, precision) for recipe in job.recipes]
    study = {
        "name": "benchmark",
        "seed": job.seed,
        "model": job.model,
        "data": {"train": job.corpus, "validation": VALIDATION_SHARE},
        "evaluate": {
            "block_size": job.block_size,
            "every_tokens": max(job.tokens_per_trial // num_rungs, 1),
            "tokens": job.evaluation_tokens,
        },
        "budget": {"trials": len(recipes), "tokens_per_trial": job.tokens_per_trial},
        "baseline": {"hyperparameters": recipes[0]},
        "prune": {"spike": rule, "plateau": rule, "peers": "off"},
        **({"workers": dict(workers)} if workers else {}),
        **_search(recipes),
    }
    path = job.folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    return load_study(path)


def _search(recipes: list[dict[str, Any]]) -> dict[str, Any]:
    """A list; one of a single trial is a search that is over after the baseline."""
    if len(recipes) > 1:
        return {"search": {"sampler": "list"}, "trials": recipes[1:]}
    return {"search": {"sampler": "random"}, "space": {"rank": [1, 2]}}


def _plain(recipe: Hyperparameters, precision: str) -> dict[str, Any]:
    plain: dict[str, Any] = recipe.model_dump(mode="json") | {"precision": precision}
    return plain


def read_points(job: Job, number: int) -> Sequence[Point]:
    """The curve of a trial, once the study has run."""
    folder = job.folder / "reports" / "benchmark" / "trials" / f"{number:04d}"
    return read_curve(folder / "curve.jsonl").points
