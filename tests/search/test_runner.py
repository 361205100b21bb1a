"""Whole studies on the smallest base, in this process, in others, and after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from sweeper.curves import StopReason, read_curve
from sweeper.errors import SweeperError, WorkerError
from sweeper.search import attributes as attrs
from sweeper.search import runner
from sweeper.search.export import export_best
from sweeper.search.progress import Snapshot
from sweeper.search.results import load_results
from sweeper.search.runner import RunOutcome, run_study
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec, load_study
from sweeper.training.manifest import hash_files, read_manifest
from tests.search.conftest import NewStudy
from tests.search.fakes import run_faked, spec_at
from tests.search.work import report_processes

DEADLINE_S = 180.0  # of a test; none takes so long but on a busy machine
TWINS: dict[str, Any] = {
    "hypotheses": [
        {"name": "twice", "change": {"accumulation": 2}},
        {"name": "twice again", "change": {"batch_size": 16}},
    ],
    "budget": {"trials": 5},
}

UNPRUNED: dict[str, Any] = {
    "budget": {"trials": 3, "tokens_per_trial": 12_000},
    "prune": {"spike": "off", "plateau": "off"},
}


def run_to_the_end(spec: StudySpec) -> tuple[RunOutcome, list[Snapshot]]:
    seen: list[Snapshot] = []
    return run_study(spec, observe=seen.append, tell=lambda *_: None), seen


def curves(spec: StudySpec) -> dict[int, list[dict[str, object]]]:
    """Every trial's curve without the only field that may differ."""
    return {
        int(path.parent.name): [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in path.read_text().splitlines()
        ]
        for path in sorted(spec.output_folder.glob("trials/*/curve.jsonl"))
    }


def wait_for(what: Callable[[], object], *, but: Callable[[], object] = lambda: None) -> None:
    """Wait until something holds, at most a minute, or until something else does."""
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert not but(), f"it ended before {what.__name__}"
        assert time.monotonic() < deadline, f"waited in vain for {what.__name__}"
        time.sleep(0.02)


@contextmanager
def program(spec: StudySpec, command: str = "run") -> Iterator[subprocess.Popen[str]]:
    """The program on a study, in a process group of its own that does not outlive the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sweeper", command, spec.path.name],
        cwd=spec.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def members(group: int) -> list[int]:
    """Live processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def some_checkpoint(spec: StudySpec) -> Callable[[], object]:
    """Whether a trial is past its first rung, so that it can be resumed half-way."""

    def past_the_first_rung() -> bool:
        paths = spec.output_folder.glob("trials/*/checkpoint/*/state.json")
        return any(p.parent.name.isdigit() and int(p.parent.name) > 0 for p in paths)

    return past_the_first_rung


def test_a_study_runs_to_its_end_and_again_is_nothing_to_do(new_study: NewStudy) -> None:
    spec = new_study(model="builtin:untrained", **TWINS)

    outcome, seen = run_to_the_end(spec)

    assert outcome == RunOutcome(None, False)
    assert (seen[-1].num_trials, seen[-1].num_ended, seen[-1].running) == (5, 5, ())
    store = StudyStore(spec, create=False)
    assert [trial.number for trial in store.trials()] == [0, 1, 2, 3, 4]
    for trial in store.trials():
        _check_trial(spec, trial.number, trial.user_attrs, trial.intermediate_values)
    assert store.trials()[2].user_attrs[attrs.SAME_AS] == 1
    assert store.trials()[2].value == store.trials()[1].value
    _check_export(spec)

    before = hash_files(spec.output_folder / "best"), curves(spec), store.trials()
    outcome, seen = run_to_the_end(spec)
    assert outcome == RunOutcome(None, False)
    assert seen[-1].num_ended == 5
    again = StudyStore(spec, create=False)
    assert (hash_files(spec.output_folder / "best"), curves(spec), again.trials()) == before


def _check_trial(
    spec: StudySpec, number: int, values: Mapping[str, Any], reported: Mapping[int, float]
) -> None:
    assert values[attrs.BASELINE] is (number == 0)
    assert {attrs.VAL_LOSS, attrs.TOKENS, attrs.SECONDS, attrs.HYPERPARAMETERS} <= values.keys()
    assert values[attrs.STOP_REASON] == "completed"
    manifest = read_manifest(spec.output_folder / values[attrs.MANIFEST])
    source = number if values[attrs.SAME_AS] is None else values[attrs.SAME_AS]
    assert manifest.trial == source
    assert manifest.result is not None
    assert manifest.result.val_loss == values[attrs.VAL_LOSS]
    folder = trial_folder(spec, source)
    assert hash_files(folder / "adapter") == manifest.result.adapter_sha256
    evaluations = read_curve(folder / "curve.jsonl").evaluations()
    assert {point.tokens: point.val_loss for point in evaluations} == dict(reported)
    assert max(reported) == 4_000


def _check_export(spec: StudySpec) -> None:
    """The adapter in `best/` gives, on the base beside it, the loss that the study reports."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from sweeper.models.base import Base
    from sweeper.training.device import find_device
    from sweeper.training.ground import ground_of
    from sweeper.training.workbench import set_up

    results = load_results(StudyStore(spec, create=False))
    folder = export_best(results)
    assert folder == spec.output_folder / "best"
    assert results.best is not None
    bench = set_up(ground_of(spec), find_device(1))
    assert Base("x", folder / "base").fingerprint == bench.base.fingerprint
    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft's use of transformers
        model = PeftModel.from_pretrained(base, folder).eval()
    blocks = bench.validation
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(blocks.inputs)).logits
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(blocks.targets).flatten(), ignore_index=-100
        )
    assert losses.item() == pytest.approx(results.best.val_loss, abs=1e-4)
    assert str(spec.folder) not in (folder / "adapter_config.json").read_text()


def test_a_killed_study_goes_on_as_if_nothing_had_been(new_study: NewStudy) -> None:
    whole = new_study("whole", **UNPRUNED)
    run_to_the_end(whole)
    killed = new_study("killed", **UNPRUNED, workers={"count": 2, "backend": "loky"})

    with program(killed) as process:
        wait_for(some_checkpoint(killed), but=process.poll)
        process.kill()
        process.wait()

        def workers_left() -> bool:
            return not members(process.pid)

        wait_for(workers_left)

    left = StudyStore(killed, create=False).trials()
    assert sum(trial.state.is_finished() for trial in left) < 3
    alone = load_study(killed.path, ["workers.count=1", "workers.backend=inline"])
    outcome, _ = run_to_the_end(alone)

    assert outcome == RunOutcome(None, False)

    trials = StudyStore(killed, create=False).trials()
    assert [(t.number, t.state) for t in trials] == [(n, TrialState.COMPLETE) for n in range(3)]
    assert curves(killed) == curves(whole)
    assert [t.value for t in trials] == [t.value for t in StudyStore(whole, create=False).trials()]


def test_even_one_worker_has_a_process_of_its_own(
    new_study: NewStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`joblib.Parallel` would run a single worker here, where it waits for another parent."""
    monkeypatch.setattr(runner, "work", report_processes)

    with pytest.raises(SweeperError, match=r"^\d+ under \d+, 1 thread$") as caught:
        run_to_the_end(new_study(workers={"count": 1, "backend": "loky"}))

    worker, _, parent = str(caught.value).partition(",")[0].split()
    assert int(worker) != os.getpid()
    assert int(parent) == os.getpid()
    assert caught.value.exit_code == 7


def test_an_interrupted_study_says_how_to_go_on_and_does(new_study: NewStudy) -> None:
    spec = new_study(**UNPRUNED)

    with program(spec) as process:
        wait_for(some_checkpoint(spec), but=process.poll)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 130
    assert "interrupted; every trial is kept to its last step" in err
    assert "Go on with: sweeper run study.yaml" in err.replace("\n", " ")
    assert "Traceback" not in out + err
    left = [t for t in StudyStore(spec, create=False).trials() if not t.state.is_finished()]
    assert left[0].user_attrs[attrs.LEASE] is None
    steps = len(curves(spec)[left[0].number])
    run_to_the_end(spec)

    trials = StudyStore(spec, create=False).trials()
    assert [(t.number, t.state) for t in trials] == [(n, TrialState.COMPLETE) for n in range(3)]
    assert [t.user_attrs.get(attrs.CRASHES, 0) for t in trials] == [0, 0, 0]
    assert steps < len(curves(spec)[left[0].number])
    assert not list((spec.output_folder / "workers").iterdir())


@pytest.mark.usefixtures("stored_in_memory")
@pytest.mark.usefixtures("stored_in_memory")
def test_a_study_that_is_done_prepares_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_at(tmp_path)
    run_faked(StudyStore(spec, create=True))
    monkeypatch.delattr(runner, "new_trainer")

    outcome, seen = run_to_the_end(spec)

    assert outcome == RunOutcome(None, False)
    assert seen[-1].num_ended == spec.budget.trials


def test_a_spent_wall_clock_ends_the_study(new_study: NewStudy) -> None:
    spec = new_study(budget={"trials": 6, "wall_clock": "1min"})
    store = StudyStore(spec, create=True)
    store.study.set_user_attr(attrs.SECONDS_SPENT, 60.0)

    outcome, _ = run_to_the_end(spec)

    assert outcome == RunOutcome(None, True)
    assert all(trial.state is TrialState.WAITING for trial in store.trials())


@pytest.mark.usefixtures("stored_in_memory")
def test_a_diverging_trial_is_a_value_and_the_study_goes_on(new_study: NewStudy) -> None:
    spec = new_study(
        budget={"trials": 2},
        space={},
        search={"sampler": "list"},
        trials=[{"learning_rate": 10, "clip_norm": None, "rank": 8, "alpha": 1e30}],
    )

    run_to_the_end(spec)

    results = load_results(StudyStore(spec, create=False))
    assert [trial.stop_reason for trial in results.trials] == [
        StopReason.COMPLETED,
        StopReason.NON_FINITE,
    ]
    assert results.best is results.trials[0]


@pytest.mark.usefixtures("stored_in_memory")
def test_a_defect_is_the_trials_failure_but_the_baselines_is_the_studys(
    new_study: NewStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper.training import shift

    real = shift.trial_steps

    def fail_at(number: int) -> Callable[..., Any]:
        def trial_steps(*arguments: Any) -> Any:
            if arguments[-1] == number:
                raise ZeroDivisionError("a defect")
            return real(*arguments)

        return trial_steps

    spec = new_study("third", budget={"trials": 3})
    monkeypatch.setattr(shift, "trial_steps", fail_at(1))
    run_to_the_end(spec)
    results = load_results(StudyStore(spec, create=False))
    assert [t.stop_reason and t.stop_reason.value for t in results.trials] == [
        "completed",
        "error",
        "completed",
    ]
    assert results.trials[1].evidence == "ZeroDivisionError: a defect"
    assert "Traceback" in (results.trials[1].folder / "error.txt").read_text()

    monkeypatch.setattr(shift, "trial_steps", fail_at(0))
    with pytest.raises(Exception, match="the baseline failed") as caught:
        run_to_the_end(new_study("first", budget={"trials": 3}))
    assert getattr(caught.value, "exit_code", None) == WorkerError.exit_code


@pytest.mark.usefixtures("stored_in_memory")
def test_what_breaks_a_worker_outside_its_trials_is_raised(
    new_study: NewStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not end in rounds of workers that break the same way for ever."""

    def claim(*_: object) -> None:
        raise ZeroDivisionError("a defect in the storage")

    monkeypatch.setattr(StudyStore, "claim", claim)

    with pytest.raises(ZeroDivisionError):
        run_to_the_end(new_study())


@pytest.mark.usefixtures("stored_in_memory")
def test_a_users_error_keeps_its_exit_code(new_study: NewStudy) -> None:
    spec = new_study(baseline={"hyperparameters": {"block_size": 1024}}, evaluate={"tokens": None})

    with pytest.raises(Exception, match=r"block_size: 1024 is more than the \d+ positions"):
        run_to_the_end(spec)

    (trial, *_) = StudyStore(spec, create=False).trials()
    assert trial.state is TrialState.RUNNING
    assert trial.user_attrs[attrs.LEASE] is None  # released: mended, the study goes on


@pytest.mark.usefixtures("stored_in_memory")
def test_the_budget_can_be_raised_afterwards(new_study: NewStudy) -> None:
    spec = new_study(budget={"trials": 1})
    run_to_the_end(spec)
    before = curves(spec)

    more = load_study(spec.path, ["budget.trials=2"])
    run_to_the_end(more)

    assert sorted(curves(more)) == [0, 1]
    assert curves(more)[0] == before[0]
