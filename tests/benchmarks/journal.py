"""Measurements, each in its own process, kept line by line so that an interrupted bench goes on."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
_MEASURED = ("curves", "data", "models", "reports", "search", "study", "training")
_ARMS = (
    *("again", "alone", "gemm", "imports", "job", "lean"),
    *("memory", "orchestration", "ours", "stock", "tuned"),
    *("beside", "descendants", "large_study", "scale"),
)

Payload = Callable[[Path], Mapping[str, Any]]


class MeasurementError(Exception):
    """An arm's process failed."""


class Journal:
    """Runs arms, or finds what they gave when the same code ran them before.

    Args:
        folder: For the journal itself and the arms' scratch folders.
        fresh: Whether to measure everything again.
    """

    def __init__(self, folder: Path, *, fresh: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = folder / "journal.jsonl"
        self._code = _code_digest()
        self._known: dict[str, dict[str, Any]] = {}
        if not fresh and self._path.is_file():
            for line in self._path.read_text("utf-8").splitlines():
                record = json.loads(line)
                self._known[record["digest"]] = record

    def measure(self, label: str, arm: str, payload: Payload) -> dict[str, Any]:
        """The result of an arm, with what its process took under `process`.

        `others_cpus` there is how many processors others kept busy meanwhile: on a quiet machine
        next to none.

        Args:
            label: What it is, unique among the measurements of one bench.
            arm: The module.
            payload: Makes what the arm is told, given an empty folder to work in.

        Raises:
            MeasurementError: The process failed; its last words are in the message.
        """
        digest = self._digest(label, arm, payload(Path("SCRATCH")))
        if digest in self._known:
            say(f"{label}: as measured before")
            return dict(self._known[digest]["result"])
        say(f"{label} ...", end=" ")
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="arm-") as scratch:
            result = _run(arm, payload(Path(scratch).resolve()), Path(scratch))
        say(f"{result['process']['wall_s']:.1f} s")
        record = {"digest": digest, "label": label, "result": result}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
        return result

    def _digest(self, label: str, arm: str, payload: Mapping[str, Any]) -> str:
        text = json.dumps([label, arm, payload, self._code], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def say(text: str, end: str = "\n") -> None:
    """Progress, for the person who waits."""
    print(text, end=end, file=sys.stderr, flush=True)


def _run(arm: str, payload: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    told, given, words = (scratch / f".{name}" for name in ("payload", "result", "output"))
    told.write_text(json.dumps(payload, allow_nan=False), "utf-8")
    command = [sys.executable, "-m", "tests.benchmarks.arm", arm, str(told), str(given)]
    busy, began = _busy_s(), time.perf_counter()
    with words.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(), stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = "\n".join(words.read_text(errors="replace").splitlines()[-30:])
        raise MeasurementError(f"{arm} ended with {process.returncode}:\n{last}")
    result: dict[str, Any] = json.loads(given.read_text("utf-8"))
    wall_s, cpu_s = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
    result["process"] = {
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "others_cpus": max(_busy_s() - busy - cpu_s, 0.0) / wall_s,
    }
    return result


def _busy_s() -> float:
    """CPU seconds that the machine has worked since its start; 0 where it does not tell."""
    path = Path("/proc/stat")
    if not path.is_file():
        return 0.0
    user, nice, system, _, _, irq, softirq, steal = map(int, path.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _environment() -> dict[str, str]:
    """As torch finds it by default: nothing of this process's decides on an arm's threads."""
    unset = {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return {**kept, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def _code_digest() -> str:
    """Of all code that is measured or measures: other code, other numbers."""
    paths = [path for name in _MEASURED for path in (ROOT / "sweeper" / name).rglob("*.py")]
    paths += [Path(__file__).with_name(f"{name}.py") for name in _ARMS]
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()
