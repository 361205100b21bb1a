"""A study of many finished trials: what workers would have left, without training any.

Every trial is taken, reported and ended by the store itself, in memory, as a worker does it; then
all of them go into a SQLite study at once, row by row as Optuna would write them. What ends a trial
and what it comes to follow from its recipe by formulas, so that a study is the same every time.
Each trial has its folder with the curve and the manifest; adapters and checkpoints are left out,
for nothing that is measured reads them.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from sweeper.curves import Point, Stop, StopReason
from sweeper.curves.curve import point_to_json
from sweeper.search import attributes as attrs
from sweeper.search.claim import Claim
from sweeper.search.dashboard import note_trial
from sweeper.search.outcomes import Result
from sweeper.search.storage import database_file, trial_folder
from sweeper.search.store import StudyStore
from sweeper.study import Hyperparameters, StudySpec, load_study

NUM_RUNGS = 6
NUM_POINTS = 30
TOKENS = 240_000
START_LOSS = 5.45  # in nats, of the embedded base on its corpus
STUDY_FILE = """\
name: large
seed: 17
model: builtin:tiny
data: {{train: builtin:pydoc-qa}}
evaluate: {{every_tokens: {every}}}
budget: {{trials: {trials}, tokens_per_trial: {tokens}}}
baseline:
  hyperparameters:
    {{block_size: 256, batch_size: 8, accumulation: 1, learning_rate: 2e-5, schedule: cosine}}
space:
  block_size: [64, 128, 256]
  batch_size: [4, 8, 16, 32]
  accumulation: [1, 2, 4]
  learning_rate: {{low: 1e-5, high: 1e-1, log: true}}
  schedule: [constant, linear, cosine]
hypotheses:
  - {{name: smaller blocks, change: {{block_size: 128}}}}
  - {{name: bigger batch, change: {{accumulation: 4}}}}
search: {{sampler: {sampler}}}
"""


def write_study_file(folder: Path, num_trials: int, sampler: str = "tpe") -> Path:
    """The file of a study over the default study's space."""
    text = STUDY_FILE.format(
        every=TOKENS // NUM_RUNGS, trials=num_trials, tokens=TOKENS, sampler=sampler
    )
    path = folder / "study.yaml"
    path.write_text(text, "utf-8")
    return path


def build_study(path: Path, num_trials: int) -> StudySpec:
    """Fill the study of a file with so many trials that have ended.

    Drawn at random, whatever the file's sampler: TPE would take minutes, and what it writes of a
    trial is the same.
    """
    spec = load_study(path, [])
    drawn = load_study(path, ["search.sampler=random", f"budget.trials={num_trials}"])
    memory = StudyStore(drawn, create=True, storage=InMemoryStorage())
    train_all(memory)
    _store(spec, memory.trials())
    return spec


def train_all(store: StudyStore) -> None:
    """Work through a study until nothing is left to take."""
    best = math.inf
    while (claim := store.claim("benchmark")) is not None:
        best = min(best, _train(store, claim, best))


# --- What a trial comes to -------------------------------------------------------------------


def _train(store: StudyStore, claim: Claim, best: float) -> float:
    """The calls of a worker over one trial, and the files that training leaves; its loss where it
    completed, else infinity.
    """
    points, stop = _curve(claim.hyperparameters, claim.number, claim.is_protected)
    folder = trial_folder(store.spec, claim.number)
    folder.mkdir(parents=True)
    manifest = folder.relative_to(store.spec.output_folder) / "manifest.json"
    store.annotate(claim, {attrs.MANIFEST: manifest.as_posix()})
    for point in points:
        if point.val_loss is not None:
            store.report(claim, point.tokens, point.val_loss)
    last, losses = points[-1], [p.val_loss for p in points if p.val_loss is not None]
    other_best = best if math.isfinite(best) else None
    result = Result(stop, losses[-1], last.tokens, last.seconds or 0.0, other_best)
    (folder / "curve.jsonl").write_text("".join(point_to_json(p) + "\n" for p in points), "utf-8")
    (folder / "manifest.json").write_text(json.dumps(_manifest(store, claim, result), indent=2))
    note_trial(store, claim, result)
    assert store.finish(claim, result)
    return losses[-1] if stop.reason is StopReason.COMPLETED else math.inf


def _curve(recipe: Hyperparameters, number: int, is_protected: bool) -> tuple[list[Point], Stop]:
    stop = (
        Stop(StopReason.COMPLETED, "reached its budget") if is_protected else _end(recipe, number)
    )
    share = {StopReason.COMPLETED: 1.0, StopReason.PLATEAU: 2 / 3, StopReason.PEERS: 1 / 3}
    end = share.get(stop.reason, 0.5)
    final = _final_loss(recipe) + 0.05 * wobble(number)
    step_tokens = recipe.block_size * recipe.batch_size * recipe.accumulation
    speed = (8_000 + 12_000 * recipe.block_size / 256) * (1 + 0.1 * wobble(number + 1))
    points = []
    for index in range(round(NUM_POINTS * end) + 1):
        seen = TOKENS * index // NUM_POINTS
        fallen = final + (START_LOSS - final) * math.exp(-4.5 * seen / TOKENS)
        if stop.reason is StopReason.SPIKE and index >= round(NUM_POINTS * end) - 1:
            fallen += 2.0
        is_rung = index % (NUM_POINTS // NUM_RUNGS) == 0
        points.append(
            Point(
                step=math.ceil(seen / step_tokens),
                tokens=seen,
                train_loss=fallen + 0.1 * wobble(number * 31 + index),
                val_loss=fallen if is_rung else None,
                learning_rate=recipe.learning_rate if index else None,
                grad_norm=0.5 + 0.3 * wobble(number + index) if index else None,
                seconds=seen / speed,
                step_seconds=step_tokens / speed if index else None,
            )
        )
    return _told_apart(points), stop


def _told_apart(points: Sequence[Point]) -> list[Point]:
    """Without points of one step: a trial of large batches has few of them."""
    return list({point.step: point for point in points}.values())


def _final_loss(recipe: Hyperparameters) -> float:
    """Lowest at a rate of 8e-3 and small batches, as the default study found it."""
    off = abs(math.log10(recipe.learning_rate / 8e-3))
    return 3.85 + min(0.32 * off**1.4, 1.5) + 0.03 * math.log2(recipe.effective_batch)


def _end(recipe: Hyperparameters, number: int) -> Stop:
    chance = (number * 0.41421356237309515) % 1.0
    if recipe.learning_rate > 3e-2 and chance < 0.5:
        return Stop(StopReason.SPIKE, "validation loss 6.91 at 120,000 tokens, 2.00 above before")
    if recipe.learning_rate < 1e-4 and chance < 0.6:
        return Stop(StopReason.PLATEAU, "gained 0.011 nats over 96,000 tokens, the best 0.9 ahead")
    if chance > 0.85:
        return Stop(StopReason.PEERS, "0.31 nats behind the best third at 80,000 tokens")
    return Stop(StopReason.COMPLETED, "reached its budget")


def wobble(number: int) -> float:
    """A bounded, irregular, repeatable noise in [-1, 1]."""
    return math.sin(number * 12.9898) * math.cos(number * 4.1414)


def _manifest(store: StudyStore, claim: Claim, result: Result) -> dict[str, Any]:
    """In the form of `training.manifest.Manifest`, which would import torch."""
    spec = store.spec
    return {
        "format": 1,
        "trial": claim.number,
        "plan": {
            "model": spec.model,
            "data": spec.data.model_dump(mode="json"),
            "evaluate": spec.evaluate.model_dump(mode="json"),
            "split_seed": spec.seed,
            "tokens": TOKENS,
            "hyperparameters": claim.hyperparameters.model_dump(mode="json"),
            "device": "cpu",
            "threads": 1,
            "engine": "packed",
            "slots": 1,
            "precision": None,
        },
        "fingerprints": {
            **dict.fromkeys(("base", "corpus", "stream", "code"), "0" * 64),
            "dependencies": {"torch": "2.13.0"},
            "python": "3.11",
            "machine": "Linux x86_64",
            "hardware": "cpu",
        },
        "result": {
            "stop_reason": result.stop.reason.value,
            "evidence": result.stop.evidence,
            "val_loss": result.val_loss,
            "tokens": result.tokens,
            "seconds": result.seconds,
            "micro_batch": claim.hyperparameters.batch_size,
            "notes": [],
            "last_good_step": None,
            "adapter_sha256": {},
        },
    }


# --- Into the database -----------------------------------------------------------------------


def _store(spec: StudySpec, trials: Sequence[FrozenTrial]) -> None:
    """Make the study in its own database, with these trials instead of the enqueued ones."""
    storage = StudyStore(spec, create=True).storage
    study_id = storage.get_study_id_from_name(spec.folder_name)
    database = sqlite3.connect(database_file(spec))
    try:
        for table in _TABLES:
            database.execute(f"DELETE FROM {table}")
        for table, rows in _rows(trials, study_id):
            marks = ", ".join("?" * _TABLES[table])
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        database.commit()
    finally:
        database.close()


# Optuna's tables of trials, by their number of columns.
_TABLES = {
    "trials": 6,
    "trial_params": 5,
    "trial_values": 5,
    "trial_intermediate_values": 5,
    "trial_user_attributes": 4,
    "trial_system_attributes": 4,
}


def _rows(trials: Sequence[FrozenTrial], study_id: int) -> Iterator[tuple[str, Iterator[Any]]]:
    """Rows of each table; a trial's id is one more than its number."""
    yield (
        "trials",
        (
            (t.number + 1, t.number, study_id, t.state.name, t.datetime_start, t.datetime_complete)
            for t in trials
        ),
    )
    yield (
        "trial_params",
        (
            (
                None,
                t.number + 1,
                name,
                t.distributions[name].to_internal_repr(value),
                distribution_to_json(t.distributions[name]),
            )
            for t in trials
            for name, value in t.params.items()
        ),
    )
    yield (
        "trial_values",
        ((None, t.number + 1, 0, t.value, "FINITE") for t in trials if t.value is not None),
    )
    yield (
        "trial_intermediate_values",
        (
            (None, t.number + 1, step, value, "FINITE")
            for t in trials
            for step, value in t.intermediate_values.items()
        ),
    )
    for table, attributes in (
        ("trial_user_attributes", "user_attrs"),
        ("trial_system_attributes", "system_attrs"),
    ):
        yield (
            table,
            (
                (None, t.number + 1, key, json.dumps(value))
                for t in trials
                for key, value in getattr(t, attributes).items()
            ),
        )
