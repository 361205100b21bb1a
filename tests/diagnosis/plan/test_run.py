"""The loop closes: what a diagnosis emits is a study that runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from sweeper.curves.detection import detect
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnose import diagnose
from sweeper.diagnosis.plan import study_text
from sweeper.logs import read_log
from sweeper.search.results import load_results
from sweeper.search.runner import run_study
from sweeper.search.store import StudyStore
from sweeper.study import load_study
from tests.diagnosis.fakes import advice, cause, config_of

SCRIPT = """
import os

steps, rate = int(os.environ["TRAINING_STEPS"]), float(os.environ["LEARNING_RATE"])
for step in range(steps + 1):
    loss = 5.0 / (1 + 100 * rate * step)
    print(f"step {step}: train loss {loss:.4f}, val loss {loss + 0.1:.4f}", flush=True)
"""
LOG = """step,train_loss,val_loss
0,5.0,5.1
4,4.8,4.9
8,4.801,4.9
12,4.8,4.9
16,4.802,4.9
20,4.801,4.9
"""
CONFIG = {
    "block_size": 16,
    "batch_size": 2,
    "learning_rate": 1e-4,
    "schedule": "constant",
    "total_steps": 20,
}


def test_the_emitted_study_runs_the_users_script_and_the_advice_wins(tmp_path: Path) -> None:
    (tmp_path / "training.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "run.csv").write_text(LOG, encoding="utf-8")
    log = read_log(tmp_path / "run.csv")
    case = Case(log, detect(log.curve), config_of(CONFIG))
    fix = cause("lr-too-low", advice("raise-rate", {"learning_rate": 1e-3}))
    path = tmp_path / "study.yaml"
    path.write_text(
        study_text(
            diagnose(case, (fix,)),
            name="loop",
            log_path="run.csv",
            model=None,
            data=None,
            command=shlex.join([sys.executable, "training.py"]),
        ),
        encoding="utf-8",
    )
    spec = load_study(path, ["budget.trials=2", "workers.backend=inline"])

    run_study(spec, observe=lambda *_: None, tell=lambda *_: None)

    results = load_results(StudyStore(spec, create=False))
    assert results.best is not None
    assert results.best.hypothesis == "raise rate"
    assert results.best.hyperparameters["learning_rate"] == 1e-3
