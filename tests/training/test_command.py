"""The user's own script as a child process: told, read, judged, ended, and never left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from sweeper.curves import Curve, Point, Stop, StopReason, point_to_json, read_curve
from sweeper.errors import CheckpointError, UsageError
from sweeper.study import Hyperparameters, Rungs
from sweeper.training.command_manifest import read_command_manifest
from sweeper.training.command_plan import variables_of
from sweeper.training.command_program import check_command, search_path
from sweeper.training.course import Course
from sweeper.training.lost import read_lost
from sweeper.training.outcome import Outcome
from sweeper.training.watches import Lookout
from tests.training.scripts import HEALTHY, RECIPE, engine, run, write_script

DEADLINE_S = 30.0
PREEMPTED = Stop(StopReason.PREEMPTED, "interrupted")


def trial(folder: Path) -> Path:
    return folder / "trials" / "0003"


def output(folder: Path) -> str:
    return (trial(folder) / "output.log").read_text("utf-8", errors="replace")


def is_alive(pid: int) -> bool:
    """Whether a process is there and no mere zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def after(seconds: float, stop: Stop = PREEMPTED) -> Callable[[], Stop | None]:
    """An interruption that comes after some time."""
    began = time.monotonic()
    return lambda: stop if time.monotonic() - began > seconds else None


def when(path: Path) -> Callable[[], Stop | None]:
    """An interruption that comes once a script has written a file."""
    return lambda: PREEMPTED if path.exists() else None


class Limit(Lookout):
    """Ends a run as a pruner does, where its training loss is above a limit."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self._limit = limit
        self.seen: list[Point] = []
        self.replayed: list[Point] = []

    def update(self, point: Point) -> Stop | None:
        self.seen.append(point)
        if point.train_loss is not None and point.train_loss > self._limit:
            return Stop(StopReason.SPIKE, f"above {self._limit}")
        return None

    def replay(self, point: Point) -> None:
        self.replayed.append(point)


def test_a_healthy_script_is_read_to_its_end(tmp_path: Path) -> None:
    outcome = run(tmp_path)

    assert outcome.stop == Stop(StopReason.COMPLETED, "the command ran to its end")
    assert [point.step for point in outcome.curve] == list(range(0, 101, 10))
    first, last = outcome.curve.points[0], outcome.curve.points[-1]
    assert (first.tokens, first.train_loss, first.val_loss) == (0, 6.0, 6.1)
    assert (last.tokens, last.val_loss) == (6400, outcome.curve.last_val_loss)
    seconds = [point.seconds or 0.0 for point in outcome.curve]
    assert seconds == sorted(seconds)
    assert read_curve(trial(tmp_path) / "curve.jsonl") == outcome.curve
    assert output(tmp_path).startswith("step 0: train loss 6.0000, val loss 6.1000\n")
    manifest = read_command_manifest(trial(tmp_path) / "manifest.json")
    assert (manifest.trial, manifest.plan.folder) == (3, "../..")
    assert manifest.result is not None
    assert (manifest.result.exit_code, manifest.result.last_step) == (0, 100)
    assert list(manifest.fingerprints.files) == ["training.py"]
    assert str(tmp_path) not in (trial(tmp_path) / "manifest.json").read_text()


def test_a_script_is_told_by_plain_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESUME", "left over from elsewhere")
    monkeypatch.setenv("CLIP_NORM", "left over too")
    monkeypatch.setenv("MY_OWN", "kept")
    text = """
        import json, os
        with open("told.json", "w") as file:
            json.dump(dict(os.environ), file)
        print("step 100: val loss 1.0")
    """
    recipe = RECIPE.model_copy(update={"clip_norm": None, "learning_rate": 3.1622776601683795e-05})
    told = variables_of(engine(), recipe, Course.of(recipe, 6400, Rungs(640)))
    run(tmp_path, text, env={"block_size": "CONTEXT"})
    seen = json.loads((tmp_path / "told.json").read_text())

    assert (seen["CONTEXT"], seen["BATCH_SIZE"], seen["LEARNING_RATE"]) == ("16", "4", "0.00001")
    assert (seen["TRAINING_STEPS"], seen["WARMUP_STEPS"], seen["SEED"]) == ("100", "10", "7")
    assert seen["TRIAL_FOLDER"] == str(trial(tmp_path))
    assert (seen["MY_OWN"], seen["PYTHONUNBUFFERED"]) == ("kept", "1")
    assert not {"RESUME", "BLOCK_SIZE", "RANK"} & set(seen)
    assert "CLIP_NORM" not in told
    assert float(told["LEARNING_RATE"]) == recipe.learning_rate
    assert "e" not in told["LEARNING_RATE"]


@pytest.mark.parametrize("value", [1e-5, 1e-10, 0.1, 1 / 3, 123456.789, 1.0])
def test_numbers_are_decimal_and_exact(value: float) -> None:
    recipe = Hyperparameters(weight_decay=value)
    text = variables_of(engine(), recipe, Course.of(recipe, 6400, Rungs(640)))["WEIGHT_DECAY"]
    assert float(text) == value
    assert set(text) <= set("0123456789.")


@pytest.mark.parametrize(
    ("text", "reason", "parts"),
    [
        ("import sys; print('step 1: loss 3'); sys.exit(3)", "error", ["exit code 3", "loss 3"]),
        ("raise ValueError('no data')", "error", ["exit code 1", "ValueError: no data"]),
        ("", "error", ["no validation loss", "`step 500:", "engine.pattern", "it wrote nothing"]),
        ("print('iter 9: loss 3.0')", "error", ["found training losses only"]),
        ("raise MemoryError", "out_of_memory", ["exit code 1", "MemoryError"]),
        (
            "raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')",
            "out_of_memory",
            ["CUDA out of memory"],
        ),
        ("import os; os.kill(os.getpid(), 9)", "out_of_memory", ["exit code 137", "killed"]),
        ("import os; os.kill(os.getpid(), 15)", "error", ["exit code 143"]),
        ("print('step 5: train loss nan, val loss 2')", "non_finite", ["train loss is nan"]),
        ("print('step 9: val loss 2')", "completed", ["at step 9", "100 steps in TRAINING_STEPS"]),
        ("print('step 99: val loss 2')", "completed", ["ran to its end"]),
    ],
)  # fmt: skip
def test_how_a_script_ends_is_a_value(
    tmp_path: Path, text: str, reason: str, parts: list[str]
) -> None:
    outcome = run(tmp_path, text)

    assert outcome.stop.reason == reason
    for part in parts:
        assert part in outcome.stop.evidence
    assert str(tmp_path) not in outcome.stop.evidence
    lines = (trial(tmp_path) / "curve.jsonl").read_text().splitlines()
    assert lines == [point_to_json(point) for point in outcome.curve]  # NaN is not itself
    result = read_command_manifest(trial(tmp_path) / "manifest.json").result
    assert result is not None
    assert result.stop_reason == reason


@pytest.mark.parametrize(
    ("settings", "num_points", "hint"),
    [
        ({"metrics": "auto"}, 3, ""),
        ({"metrics": "jsonl"}, 2, ""),
        ({"metrics": "regex", "pattern": r"\[(?P<step>\d+)\] val=(?P<val_loss>\S+)"}, 1, ""),
        (
            {"metrics": "regex", "pattern": r"at (?P<step>\d+) is (?P<val_loss>\S+)"},
            0,
            "compare engine.pattern with the output",
        ),
    ],
)
def test_where_losses_are_looked_for(
    tmp_path: Path, settings: dict[str, object], num_points: int, hint: str
) -> None:
    text = """
        print('{"step": 10, "val_loss": 4.5}')
        print('  {"step": 20, "val_loss": 4.25}')
        print('step 30: train loss 3.0, val loss 4.0')
        print('[40] val=3.5')
    """
    outcome = run(tmp_path, text, **settings)
    assert len(outcome.curve) == num_points
    assert hint in outcome.stop.evidence


def test_parts_of_a_step_are_judged_as_one_and_tokens_of_a_log_count(tmp_path: Path) -> None:
    watch = Limit(9.0)
    text = """
        print("step 0: train loss 5.0, val loss 5.5")
        print("iter 0: loss 5.25")
        print("iter 1: loss 4.0")
        print("step 2: val loss 3.75")
        print('{"step": 2, "loss": 3.5, "tokens": 999}')
    """
    run(tmp_path, text, watch=watch)
    seen = [(p.step, p.tokens, p.train_loss, p.val_loss) for p in watch.seen]
    assert seen == [(0, 0, 5.25, 5.5), (1, 64, 4.0, None), (2, 999, 3.5, 3.75)]


def test_a_step_that_was_taken_for_whole_may_say_more(tmp_path: Path) -> None:
    """Evaluation can take long after the step's training loss was printed."""
    text = """
        import time
        print("iter 10: loss 3.0")
        time.sleep(3)
        print("step 10: val loss 3.5")
    """
    watch = Limit(9.0)
    outcome = run(tmp_path, text, watch=watch)
    assert [(p.train_loss, p.val_loss) for p in watch.seen] == [(3.0, None), (None, 3.5)]
    assert [(p.train_loss, p.val_loss) for p in outcome.curve] == [(3.0, 3.5)]
    assert read_curve(trial(tmp_path) / "curve.jsonl") == outcome.curve


def test_steps_that_go_back_are_left_out_and_noted(tmp_path: Path) -> None:
    text = "for step in (0, 10, 5, 6, 20): print(f'step {step}: val loss 2.0')"
    outcome = run(tmp_path, text)
    assert [point.step for point in outcome.curve] == [0, 10, 20]
    assert len(outcome.notes) == 1
    assert "goes back to step 5" in outcome.notes[0]


def test_garbage_long_lines_and_floods_do_no_harm(tmp_path: Path) -> None:
    text = r"""
        import os
        os.write(1, bytes(range(256)) * 300 + b"\n")
        os.write(1, b"x" * 3_000_000)
        os.write(1, b"\r\n")
        for n in range(20_000):
            os.write(1, b"nothing to see, number %d\n" % n)
        os.write(1, b"step 100: train loss 2.0, val loss 2.5")
    """
    outcome = run(tmp_path, text)
    assert outcome.stop.reason is StopReason.COMPLETED
    assert [(p.step, p.val_loss) for p in outcome.curve] == [(100, 2.5)]
    assert (trial(tmp_path) / "output.log").stat().st_size > 3_500_000


def test_what_goes_to_standard_error_is_read_too(tmp_path: Path) -> None:
    outcome = run(tmp_path, "import sys; print('step 100: val loss 2.5', file=sys.stderr)")
    assert outcome.curve.last_val_loss == 2.5


def test_a_spike_ends_the_script_gently(tmp_path: Path) -> None:
    text = """
        import pathlib, signal, sys, time
        def leave(*_):
            pathlib.Path("left").write_text("in good order")
            print("saving before I leave")
            sys.exit(0)
        signal.signal(signal.SIGTERM, leave)
        for step in range(100):
            print(f"step {step}: train loss {3 if step < 5 else 12}, val loss 3")
        time.sleep(60)
    """
    outcome = run(tmp_path, text, watch=Limit(10.0), grace=20)
    assert outcome.stop == Stop(StopReason.SPIKE, "above 10.0")
    assert outcome.curve.points[-1].step == 5
    assert (tmp_path / "left").exists()
    assert "saving before I leave" in output(tmp_path)
    result = read_command_manifest(trial(tmp_path) / "manifest.json").result
    assert result is not None
    assert (result.stop_reason, result.last_step, result.exit_code) == ("spike", 5, None)


STUBBORN = """
    import os, signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stubborn = [sys.executable, "-I", "-S", "-c",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]
    child = subprocess.Popen(stubborn)
    # Where nobody can tell whose child it is, one that leaves its group is not found.
    worker = subprocess.Popen(stubborn, start_new_session=sys.platform == "linux")
    with open("pids.tmp", "w") as file:
        file.write(f"{os.getpid()} {child.pid} {worker.pid}")
    os.rename("pids.tmp", "pids")
    print("iter 0: loss 3.0")
"""


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def test_a_script_that_ignores_sigterm_goes_all_the_same_and_its_child_too(tmp_path: Path) -> None:
    text = STUBBORN + "    time.sleep(600)\n"
    outcome = run(tmp_path, text, interrupt=when(tmp_path / "pids"), grace=0.3)
    assert outcome.stop == PREEMPTED
    wait_until(lambda: not any(map(is_alive, pids(tmp_path))))


def test_a_child_that_outlives_its_script_is_not_waited_for(tmp_path: Path) -> None:
    outcome = run(tmp_path, STUBBORN + "    print('step 100: val loss 2.0')\n")
    assert outcome.stop.reason is StopReason.COMPLETED
    wait_until(lambda: not any(map(is_alive, pids(tmp_path))))


def test_a_silent_script_can_be_interrupted(tmp_path: Path) -> None:
    outcome = run(tmp_path, "import time; time.sleep(600)", interrupt=after(0.5))
    assert outcome.stop == PREEMPTED
    assert read_command_manifest(trial(tmp_path) / "manifest.json").result is None


def test_a_script_that_closes_its_output_is_waited_for(tmp_path: Path) -> None:
    text = """
        import os, time
        print("step 100: val loss 2.0", flush=True)
        os.close(1); os.close(2)
        time.sleep(0.5)
        os._exit(4)
    """
    outcome = run(tmp_path, text)
    assert outcome.stop.reason is StopReason.ERROR
    assert "exit code 4" in outcome.stop.evidence


def test_an_exception_of_ours_leaves_no_process(tmp_path: Path) -> None:
    def fail() -> Stop | None:
        if (tmp_path / "pids").exists():
            raise ZeroDivisionError
        return None

    with pytest.raises(ZeroDivisionError):
        run(tmp_path, STUBBORN + "    time.sleep(600)\n", interrupt=fail)
    wait_until(lambda: not any(map(is_alive, pids(tmp_path))))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killing_us_kills_the_script_and_its_child(tmp_path: Path, number: signal.Signals) -> None:
    text = textwrap.dedent(STUBBORN) + "time.sleep(600)\n"
    code = (
        "from pathlib import Path; from tests.training.scripts import run; "
        f"run(Path({str(tmp_path)!r}), {text!r})"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    try:
        wait_until((tmp_path / "pids").exists)
        assert all(map(is_alive, pids(tmp_path)))
    finally:
        process.send_signal(number)
        process.wait()
    wait_until(lambda: not any(map(is_alive, pids(tmp_path))))


RESUMABLE = """
    import os, pathlib, time
    saved = pathlib.Path(os.environ["TRIAL_FOLDER"], "saved")
    start = int(saved.read_text()) if "RESUME" in os.environ and {goes_on} else 0
    for step in range(start, 101, 10):
        print(f"step {{step}}: train loss {{5 - step / 50}}, val loss {{5 - step / 50}}")
        saved.write_text(str(step + 10))
        if step == 40 and "RESUME" not in os.environ:
            time.sleep(600)
"""


def interrupted(folder: Path, goes_on: bool) -> tuple[Outcome, Limit]:
    """Interrupt a script at step 40, and run it again."""
    text = RESUMABLE.format(goes_on=goes_on)
    saved = trial(folder) / "saved"

    def at_step_40() -> Stop | None:
        told = saved.exists() and saved.read_text() == "50"
        return PREEMPTED if told and len(read_curve(trial(folder) / "curve.jsonl")) > 3 else None

    first = run(folder, text, interrupt=at_step_40)
    assert first.stop == PREEMPTED
    watch = Limit(9.0)
    return run(folder, text, watch=watch), watch


@pytest.mark.parametrize("goes_on", [True, False])
def test_an_interrupted_script_begins_again_or_goes_on_as_it_can(
    tmp_path: Path, goes_on: bool
) -> None:
    outcome, watch = interrupted(tmp_path, goes_on)

    assert outcome.stop.reason is StopReason.COMPLETED
    steps = [point.step for point in outcome.curve]
    kept = [point.step for point in watch.replayed]
    assert steps == sorted(set(steps))
    assert steps[-1] == 100
    assert kept == ([0, 10, 20, 30, 40] if goes_on else [])
    assert watch.seen[0].step == (50 if goes_on else 0)
    assert read_curve(trial(tmp_path) / "curve.jsonl") == outcome.curve
    seconds = [point.seconds or 0.0 for point in outcome.curve]
    assert seconds == sorted(seconds)
    assert read_lost(trial(tmp_path)).tokens == (0 if goes_on else 40 * 64)


def test_another_script_does_not_go_on_from_where_the_old_one_was(tmp_path: Path) -> None:
    run(tmp_path, "import time; time.sleep(600)", interrupt=after(0.3))
    text = "import os; print(f'step {int(\"RESUME\" in os.environ)}: val loss 2.0')"
    assert [point.step for point in run(tmp_path, text).curve] == [0]


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    (trial(tmp_path) / "manifest.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-program training.py", "there is no program no-such-program"),
        ("./lost.sh", r"there is no file \./lost\.sh beside the study file"),
        ("./plain.sh", r"\./plain\.sh may not be run .*chmod \+x"),
    ],
)
def test_a_command_that_cannot_start_is_refused(tmp_path: Path, command: str, message: str) -> None:
    (tmp_path / "plain.sh").write_text("#!/bin/sh\n")
    with pytest.raises(UsageError, match=message):
        check_command(engine(command=command), tmp_path)


def test_a_command_that_can_start_is_not_refused(tmp_path: Path) -> None:
    write_script(tmp_path, "#!/bin/sh\n", "go.sh").chmod(0o755)
    check_command(engine(command="./go.sh --fast"), tmp_path)
    check_command(engine(command="sh go.sh"), tmp_path)
    check_command(engine(), tmp_path)


def test_a_script_beside_a_study_in_the_present_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_script(tmp_path, "#!/bin/sh\n", "go.sh").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    check_command(engine(command="./go.sh"), Path())


def test_python_is_ours_unless_an_environment_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/somewhere")
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert search_path() == f"{Path(sys.executable).parent}:/somewhere"
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere/else")
    assert search_path() == "/somewhere"


def test_a_program_that_vanished_since_is_an_error_with_its_name(tmp_path: Path) -> None:
    outcome = run(tmp_path, HEALTHY, command="no-such-program")
    assert outcome.stop.reason is StopReason.ERROR
    assert "exit code 127" in outcome.stop.evidence
    assert "no-such-program: No such file" in outcome.stop.evidence
    assert outcome.curve == Curve()


def test_a_script_gets_the_signals_that_we_ignore(tmp_path: Path) -> None:
    text = """
        import signal
        kinds = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)]
        print("ignored" if signal.SIG_IGN in kinds[:2] else "heard")
        print("step 100: val loss 2.0")
    """
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        run(tmp_path, text)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert output(tmp_path).startswith("heard")


def test_a_script_that_fails_on_a_full_disk_is_no_failure_of_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = "print('step 0: val loss 5.0')\nraise SystemExit(3)\n"
    with monkeypatch.context() as patched:
        full = SimpleNamespace(f_bavail=0, f_frsize=4096)
        patched.setattr("os.statvfs", lambda _: full)
        with pytest.raises(OSError, match="No space left on device"):
            run(tmp_path, fails)
    assert read_command_manifest(trial(tmp_path) / "manifest.json").result is None
    assert run(tmp_path, fails).stop.reason is StopReason.ERROR


def test_a_finished_trials_folder_is_begun_anew(tmp_path: Path) -> None:
    once = run(tmp_path)
    again = run(tmp_path)
    assert [p.val_loss for p in once.curve] == [p.val_loss for p in again.curve]
    assert output(tmp_path).count("step 0:") == 1
