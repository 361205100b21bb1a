"""What a trial costs beside its training: taking it, holding it, reporting, ending it.

The study's storage is filled with trials first. The calls are those of a worker, in its order, on
the default study's space with its sampler; nothing is trained.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna

from sweeper.curves import Stop, StopReason
from sweeper.search import attributes as attrs
from sweeper.search.drawing.space import distributions_of
from sweeper.search.outcomes import Result
from sweeper.search.storage import storage_address
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec

NUM_RUNGS = 6
NUM_RENEWALS = 2  # one each 15 seconds of a trial of 30
TOKENS = 240_000
ENOUGH_S = 20.0  # a store that is slow is measured less often, but once in any case
_REAL = 12  # made by the store itself; the others are their copies
_PARTS = (
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
)


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Milliseconds of each call and of a whole trial, with so many trials in the study."""
    folder, num_trials = Path(payload["folder"]), payload["num_trials"]
    spec = _spec(folder, payload["sampler"], num_trials + _REAL + payload["repetitions"] + 2)
    _fill(spec, num_trials)
    store = StudyStore(spec, create=False)
    assert len(store.trials()) == num_trials
    _one_trial(store, _Stopwatch())  # a worker's first trial also reads what the others left
    watches: list[_Stopwatch] = []
    began = time.perf_counter()
    while not watches or (
        len(watches) < payload["repetitions"] and time.perf_counter() - began < ENOUGH_S
    ):
        watches.append(_Stopwatch())
        _one_trial(store, watches[-1])
    names = watches[0].milliseconds
    calls = {name: statistics.median(w.milliseconds[name] for w in watches) for name in names}
    totals = [sum(watch.milliseconds.values()) for watch in watches]
    return {
        "num_trials": num_trials,
        "sampler": payload["sampler"],
        "calls_ms": calls,
        "total_ms": statistics.median(totals),
        "optuna_ms": _optuna_ms(store, payload["repetitions"]),
        "range_ms": [min(totals), max(totals)],
        "repetitions": len(watches),
    }


def _spec(folder: Path, sampler: str, num_trials: int) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "orchestration",
            "seed": 17,
            "model": "builtin:tiny",
            "data": {"train": "builtin:pydoc-qa"},
            "budget": {"trials": num_trials, "tokens_per_trial": TOKENS},
            "space": {
                "block_size": [64, 128, 256],
                "batch_size": [4, 8, 16, 32],
                "accumulation": [1, 2, 4],
                "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
                "schedule": ["constant", "linear", "cosine"],
            },
            "search": {"sampler": sampler},
        }
    ).at(folder / "study.yaml")


def _optuna_ms(store: StudyStore, repetitions: int) -> float:
    """Milliseconds of a trial in plain Optuna: the first, which reads all others, is left out."""
    sampler = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    study = optuna.load_study(
        study_name=store.spec.folder_name,
        storage=storage_address(store.spec).url,
        sampler=sampler[store.spec.search.sampler](seed=0),
    )
    spent = []
    for _ in range(repetitions + 1):
        began = time.perf_counter()
        trial = study.ask(distributions_of(store.spec))
        for rung in range(NUM_RUNGS + 1):
            trial.report(5.0, rung * TOKENS // NUM_RUNGS)
        study.tell(trial, 5.0)
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent[1:])


class _Stopwatch:
    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    def time(self, name: str, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = call()
        spent = (time.perf_counter() - began) * 1000
        self.milliseconds[name] = self.milliseconds.get(name, 0.0) + spent
        return result


def _one_trial(store: StudyStore, watch: _Stopwatch) -> None:
    """The calls of a worker over one trial."""
    claim = watch.time("claim", lambda: store.claim("benchmark"))
    watch.time("same_experiment", lambda: store.same_experiment(claim))
    note = {attrs.MANIFEST: f"trials/{claim.number:04d}/manifest.json"}
    watch.time("annotate", lambda: store.annotate(claim, note))
    loss = 5.0 - claim.number % 97 / 100
    for rung in range(NUM_RUNGS + 1):
        tokens = rung * TOKENS // NUM_RUNGS
        watch.time("report", lambda at=tokens: store.report(claim, at, loss))
    for _ in range(NUM_RENEWALS):
        assert watch.time("renew", lambda: store.renew(claim))
    watch.time("trials", store.trials)
    result = Result(Stop(StopReason.COMPLETED, "benchmark"), loss, TOKENS, 30.0)
    assert watch.time("finish", lambda: store.finish(claim, result))


def _fill(spec: StudySpec, num_trials: int) -> None:
    """Some real trials, then copies of them straight in the database: Optuna takes minutes.

    Copies are exact but for their numbers; what the store reads of them is what it reads of others.
    """
    store = StudyStore(spec, create=True)
    while len(store.trials()) < min(_REAL, num_trials):
        _one_trial(store, _Stopwatch())
    database = sqlite3.connect(spec.output_folder / "study.db")
    try:
        _copy_trials(database, num_trials)
        database.commit()
    finally:
        database.close()


def _copy_trials(database: sqlite3.Connection, num_trials: int) -> None:
    trials = database.execute("SELECT * FROM trials ORDER BY number").fetchall()
    first_id = max(trial[0] for trial in trials) + 1
    for part in _PARTS:
        rows = database.execute(f"SELECT * FROM {part}").fetchall()
        place = [c[1] for c in database.execute(f"PRAGMA table_info({part})")].index("trial_id")
        by_trial: dict[int, list[Any]] = {}
        for row in rows:
            by_trial.setdefault(row[place], []).append(row)
        copies = (
            (None, *row[1:place], first_id + n, *row[place + 1 :])
            for n in range(num_trials - len(trials))
            for row in by_trial.get(trials[n % len(trials)][0], ())
        )
        _insert(database, part, copies)
    numbered = (
        (first_id + n, len(trials) + n, *trials[n % len(trials)][2:])
        for n in range(num_trials - len(trials))
    )
    _insert(database, "trials", numbered)


def _insert(database: sqlite3.Connection, table: str, rows: Any) -> None:
    width = len(database.execute(f"PRAGMA table_info({table})").fetchall())
    marks = ", ".join("?" * width)
    database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
