"""What a study of many finished trials costs to open, to go on with and to report.

Each step in a process of its own: `python -m tests.benchmarks.scale STEP STUDY_FILE` is what such a
process runs, and prints the seconds that it spent beyond its imports. The whole of a process, from
its command to its exit, is taken from the system.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.study import StudySpec, load_study
from tests.benchmarks.large_study import build_study, write_study_file

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Step:
    """Something that is done with the study.

    Attributes:
        about: In words.
        command: Arguments of Python before the study file.
        floor_s: CPU seconds of the whole process that it may take.
        floor_mib: Memory that it may take at its peak; None: not asked for.
    """

    about: str
    command: tuple[str, ...]
    floor_s: float
    floor_mib: float | None = None


_OWN = ("-m", "tests.benchmarks.scale")
STEPS = {
    "open": Step("the store opened, all trials read", (*_OWN, "open"), 3.0),
    "claim": Step("a worker's first claim, by TPE", (*_OWN, "claim"), 5.0),
    "nothing left": Step("a run that finds nothing left", (*_OWN, "nothing-left"), 5.0),
    "status": Step("`sweeper status`", ("-m", "sweeper", "status"), 20.0, 1024.0),
    "report": Step("`sweeper report`", ("-m", "sweeper", "report"), 20.0, 1024.0),
}


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds and memory of every step over a study of so many trials."""
    path = write_study_file(Path(payload["folder"]), payload["num_trials"])
    build_study(path, payload["num_trials"])
    # The claim comes last: it leaves a trial that has not ended.
    names = [*(name for name in STEPS if name != "claim"), "claim"]
    measured = {name: _measured(STEPS[name], path) for name in names}
    return {"num_trials": payload["num_trials"], "steps": {name: measured[name] for name in STEPS}}


def _measured(step: Step, path: Path) -> dict[str, Any]:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *step.command, path.name],
        cwd=path.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{step.about}: ended with {process.returncode}"
    return {
        "wall_s": time.perf_counter() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "beyond_imports": json.loads(told) if step.command[:2] == _OWN else None,
    }


# --- In the step's own process ---------------------------------------------------------------


def main() -> None:
    """Do one step, and print what it took."""
    name, path = sys.argv[1:]
    do = _DONE[name]()
    began, cpu_began = time.perf_counter(), _cpu_s()
    do(load_study(Path(path), []))
    spent = {"wall_s": time.perf_counter() - began, "cpu_s": _cpu_s() - cpu_began}
    assert "torch" not in sys.modules, "nothing of this trains"
    print(json.dumps(spent))


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _open() -> Callable[[StudySpec], None]:
    from sweeper.search.store import StudyStore

    def do(spec: StudySpec) -> None:
        assert len(StudyStore(spec, create=False).trials()) >= spec.budget.trials

    return do


def _claim() -> Callable[[StudySpec], None]:
    from sweeper.search.store import StudyStore

    def do(spec: StudySpec) -> None:
        more = spec.budget.model_copy(update={"trials": spec.budget.trials + 1})
        store = StudyStore(spec.model_copy(update={"budget": more}), create=False)
        assert store.claim("benchmark") is not None

    return do


def _nothing_left() -> Callable[[StudySpec], None]:
    from sweeper.search.runner import run_study

    def do(spec: StudySpec) -> None:
        outcome = run_study(spec, observe=lambda _: None, tell=lambda *_: None)
        assert outcome.signal is None

    return do


_DONE = {"open": _open, "claim": _claim, "nothing-left": _nothing_left}

if __name__ == "__main__":
    main()
