"""Whole studies of a user's own script: run, pruned, killed, resumed, reported, reproduced."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from rich.console import Console

from sweeper.curves import StopReason
from sweeper.errors import SweeperError, UsageError, WorkerError
from sweeper.reports.preview import preview
from sweeper.search import attributes as attrs
from sweeper.search.export import export_best
from sweeper.search.forecast import forecast
from sweeper.search.results import StudyResults, load_results
from sweeper.search.runner import RunOutcome, run_study
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec, load_study
from sweeper.training.command_manifest import read_command_manifest
from sweeper.training.reproduction import reproduce
from tests.program import call
from tests.training.scripts import write_script

DEADLINE_S = 60.0
ROOT = Path(__file__).parents[2]

# A loss that a higher rate brings down faster, up to where it jumps and stays up.
SCRIPT = """
    import os, time
    steps, rate = int(os.environ["TRAINING_STEPS"]), float(os.environ["LEARNING_RATE"])
    every = int(os.environ["EVAL_INTERVAL"])
    for step in range(steps + 1):
        loss = 2 + 4 / (1 + step * rate * 100)
        if rate > 0.5 and step > 20:
            loss = 9.0
        print(f"iter {step}: loss {loss:.4f}")
        if step % every == 0 or step == steps:
            print(f"step {step}: val loss {loss + 0.1:.4f}")
        time.sleep(float(os.environ.get("STEP_SECONDS", "0")))
    time.sleep(60 if loss == 9.0 else 0)
"""

PLAIN: dict[str, Any] = {
    "name": "own",
    "seed": 3,
    "engine": {"command": [sys.executable, "-I", "-S", "-u", "training.py"], "grace": 5},
    "evaluate": {"every_tokens": 640},
    "budget": {"trials": 4, "tokens_per_trial": 6400},
    "baseline": {"hyperparameters": {"block_size": 16, "batch_size": 4, "learning_rate": 1e-5}},
    "search": {"sampler": "list"},
    "trials": [{"learning_rate": 1.0}, {"learning_rate": 0.1}],
    "hypotheses": [{"name": "ten times", "change": {"learning_rate": 1e-4}}],
    "workers": {"count": 1, "backend": "inline", "threads": 1},
}

SHORT = {"trials": 2, "tokens_per_trial": 6400}
NewStudy = Callable[..., StudySpec]


@pytest.fixture
def new_study(tmp_path: Path) -> NewStudy:
    def write(script: str = SCRIPT, **changes: Any) -> StudySpec:
        write_script(tmp_path, script)
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(PLAIN | changes), "utf-8")
        return load_study(path)

    return write


def run(spec: StudySpec) -> RunOutcome:
    return run_study(spec, observe=lambda _: None, tell=lambda *_: None)


def results_of(spec: StudySpec) -> StudyResults:
    return load_results(StudyStore(spec, create=False))


@pytest.mark.parametrize(
    "workers", [{"count": 1, "backend": "inline"}, {"count": 2, "backend": "loky"}]
)
def test_a_study_of_a_script_runs_to_its_end(new_study: NewStudy, workers: dict[str, Any]) -> None:
    spec = new_study(workers=workers)

    assert run(spec) == RunOutcome(None, False)

    results = results_of(spec)
    reasons = [trial.stop_reason for trial in results.trials]
    completed = StopReason.COMPLETED
    assert reasons == [completed, completed, StopReason.SPIKE, completed]
    assert results.best is not None
    assert results.best.number == 3
    assert "not recovered" in results.trials[2].evidence
    assert results.trials[2].tokens < spec.budget.tokens_per_trial
    for trial in results.trials:
        manifest = read_command_manifest(trial.folder / "manifest.json")
        assert (manifest.trial, manifest.result is None) == (trial.number, False)
        assert (trial.folder / "output.log").is_file()
    _check_export(spec, results)


def test_each_worker_has_one_of_the_gpus_that_may_be_used(
    new_study: NewStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    script = f'import os; print("on", os.environ["CUDA_VISIBLE_DEVICES"])\n{dedent(SCRIPT)}'
    workers = {"count": 2, "backend": "loky"}
    spec = new_study(script, trials=[{"learning_rate": 0.1}], workers=workers)

    run(spec)

    outputs = [path.read_text() for path in spec.output_folder.glob("trials/*/output.log")]
    gpus = {output.splitlines()[0] for output in outputs}
    # The one worker may have tried everything while the other was starting.
    assert gpus <= {"on 3", "on 5"}
    assert gpus


def test_a_best_that_cannot_be_copied_does_not_cost_the_report(new_study: NewStudy) -> None:
    spec = new_study(trials=[{"learning_rate": 0.1}], hypotheses=[], budget=SHORT)
    run(spec)
    (spec.output_folder / "trials" / "0001" / "output.log").unlink()
    (spec.output_folder / "report.md").unlink(missing_ok=True)

    ended = call("run", str(spec.path), cwd=spec.folder)

    assert ended.returncode == 1
    assert "best/ cannot be made" in ended.stderr
    assert "trials/0001/output.log" in ended.stderr.replace("\n", "")
    assert "report.md" in ended.stdout
    assert (spec.output_folder / "report.md").is_file()


@pytest.mark.usefixtures("stored_in_memory", "reproduced_here")
def test_completed_and_pruned_trials_come_again_bit_for_bit(new_study: NewStudy) -> None:
    spec = new_study(trials=[{"learning_rate": 1.0}], hypotheses=[], budget=SHORT)
    run(spec)
    for trial, reason in zip(results_of(spec).trials, ("completed", "spike"), strict=True):
        assert trial.stop_reason == reason
        assert reproduce(trial.folder, lambda _: None).comparison.sameness == "bit-exact"


def _check_export(spec: StudySpec, results: StudyResults) -> None:
    folder = export_best(results)
    assert folder == spec.output_folder / "best"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "curve.jsonl",
        "manifest.json",
        "output.log",
        "recipe.yaml",
    ]
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["learning_rate"] == 0.1
    moved = read_command_manifest(folder / "manifest.json").plan.folder
    assert (folder / moved).resolve() == spec.folder.resolve()
    assert "LEARNING_RATE=0.1" in (folder / "README.md").read_text()


@pytest.mark.usefixtures("stored_in_memory", "reproduced_here")
def test_a_changed_script_is_named_when_the_result_is_not_the_same(new_study: NewStudy) -> None:
    spec = new_study(trials=[{"learning_rate": 0.1}], hypotheses=[], budget=SHORT)
    run(spec)
    write_script(spec.folder, SCRIPT.replace("loss = 2 +", "loss = 3 +"))

    again = reproduce(results_of(spec).trials[0].folder, lambda _: None)

    assert not again.is_same
    assert [line.split(":")[0] for line in again.changed] == ["training.py"]
    assert "step 0: train loss" in again.comparison.first_difference


@pytest.mark.usefixtures("stored_in_memory")
def test_one_recipe_in_two_guises_is_two_experiments_for_a_script(new_study: NewStudy) -> None:
    twins = [{"batch_size": 8}, {"accumulation": 2}]
    spec = new_study(trials=twins, hypotheses=[], budget={"trials": 3, "tokens_per_trial": 6400})
    run(spec)
    assert [trial.same_as for trial in results_of(spec).trials] == [None, None, None]


def test_a_trial_that_fails_is_a_value_but_a_baseline_is_not(new_study: NewStudy) -> None:
    fails = "import sys; sys.exit('no such data')\n"
    guard = 'import os\nif float(os.environ["LEARNING_RATE"]) > 0.05: raise SystemExit(3)\n'
    healthy = guard + "print('step 0: val loss 3')\nprint('step 100: val loss 2')\n"
    spec = new_study(healthy)
    run(spec)
    reasons = [trial.stop_reason for trial in results_of(spec).trials]
    assert reasons == ["completed", "completed", "error", "error"]

    failing = new_study(fails, name="failing", workers={"count": 2, "backend": "loky"})
    with pytest.raises(SweeperError, match="the baseline failed") as caught:
        run(failing)
    assert caught.value.exit_code == WorkerError.exit_code
    assert "no such data" in str(caught.value)
    assert "trials/0000" in str(caught.value)
    ended = [t for t in StudyStore(failing, create=False).trials() if t.state.is_finished()]
    assert len(ended) < 4


def test_a_program_that_is_not_there_fails_before_any_trial(new_study: NewStudy) -> None:
    spec = new_study(engine={"command": "no-such-program training.py"})
    for attempt in (run, forecast):
        with pytest.raises(UsageError, match="no program no-such-program"):
            attempt(spec)
    assert not list(spec.output_folder.glob("trials/*"))


def test_the_dry_run_shows_the_command_and_runs_nothing(new_study: NewStudy) -> None:
    spec = new_study("open('was-run', 'w')\n")
    console = Console(record=True, width=300, file=io.StringIO())
    found = forecast(spec)
    console.print(preview(spec, found))
    text = console.export_text()

    assert found.measured is None
    for part in ("LEARNING_RATE=0.00001", "TRAINING_STEPS=100", "training.py", "not measured"):
        assert part in text
    assert sorted(path.name for path in spec.folder.iterdir()) == ["study.yaml", "training.py"]


def scripts_of(spec: StudySpec) -> list[int]:
    """Live processes that run in a study's folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            here = link.resolve() == spec.folder.resolve()
            words = (link.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if here and b"training.py" in words:
            found.append(int(link.parent.name))
    return found


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "sweeper", "run", "study.yaml"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "STEP_SECONDS": "0.05"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "backend"),
    [
        (signal.SIGKILL, "loky"),
        (signal.SIGINT, "inline"),
        pytest.param(signal.SIGKILL, "inline", marks=pytest.mark.long),
        pytest.param(signal.SIGINT, "loky", marks=pytest.mark.long),
    ],
)
def test_a_study_that_was_stopped_leaves_no_script_and_goes_on(
    new_study: NewStudy,
    program: Callable[[], subprocess.Popen[str]],
    number: signal.Signals,
    backend: str,
) -> None:
    workers = {"count": 1, "backend": backend, "threads": 1}
    spec = new_study(workers=workers, trials=[{"learning_rate": 1.0}], hypotheses=[], budget=SHORT)
    process = program()
    curve = spec.output_folder / "trials" / "0000" / "curve.jsonl"
    wait_for(lambda: curve.is_file() and curve.read_text().count("\n") > 12)

    process.send_signal(number)
    _, said = process.communicate(timeout=DEADLINE_S)

    if number is signal.SIGINT:
        assert process.returncode == 130, said
        assert "interrupted" in said
        assert not [*spec.folder.rglob("*-wal")]  # the database is whole without another file
    wait_for(lambda: not scripts_of(spec))
    run(spec)
    trials = StudyStore(spec, create=False).trials()
    reasons = [trial.user_attrs[attrs.STOP_REASON] for trial in trials]
    assert reasons == ["completed", "spike"]
    steps = [json.loads(line)["step"] for line in curve.read_text().splitlines()]
    assert steps == list(range(101))


def test_the_program_never_imports_torch_for_a_script(new_study: NewStudy) -> None:
    spec = new_study(budget={"trials": 4, "tokens_per_trial": 1280})
    code = """
import sys
from sweeper.cli import app
for words in (["run", "--dry-run", "study.yaml"], ["run", "study.yaml"], ["status", "study.yaml"],
              ["reproduce", "study.yaml"], ["validate", "study.yaml"]):
    app(words, standalone_mode=False)
print([name for name in ("torch", "transformers", "peft") if name in sys.modules])
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=spec.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "[]"
    assert "bit-exact" in ended.stdout
    report = (spec.output_folder / "report.md").read_text()
    for part in ("| command |", "its output, in whatever known form", "with its evaluations"):
        assert part in report
    assert "adapter" not in report
    assert str(spec.folder) not in report
