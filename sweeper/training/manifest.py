"""A trial's manifest: enough to train it again, and to say what changed if it differs."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from sweeper.models.base import is_builtin
from sweeper.study import DataSpec, EvaluateSpec, Hyperparameters
from sweeper.training.ground import Ground
from sweeper.training.manifest_file import read_json, write_json
from sweeper.training.setup import PrecisionChoice

EngineName = Literal["packed", "peft"]
_SOURCES = ("py", "cpp", "h")


class RunPlan(BaseModel):
    """Everything that a person decides and a result depends on.

    Paths in `model` and `data.train` are relative to the folder that the plan is
    kept in. With more than one slot, up to so many trials were trained together: a
    run alone is the same but for rounding. The precision is what `auto` came to, and
    None where the recipe said one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    data: DataSpec
    evaluate: EvaluateSpec
    split_seed: int
    tokens: int
    hyperparameters: Hyperparameters
    device: str
    threads: int
    engine: EngineName = "peft"
    slots: int = 1
    precision: PrecisionChoice | None = None

    def ground(self, folder: Path) -> Ground:
        """The plan's ground, seen from the folder that its paths are relative to."""
        return Ground(self.model, self.data, self.evaluate, self.split_seed, folder)


class Fingerprints(BaseModel):
    """What the result came from, by content or version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    corpus: str
    stream: str
    code: str
    dependencies: dict[str, str]
    python: str
    machine: str
    hardware: str


class RunResult(BaseModel):
    """How the run ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop_reason: str
    evidence: str
    val_loss: float | None
    tokens: int
    seconds: float
    micro_batch: int
    notes: list[str]
    last_good_step: int | None
    adapter_sha256: dict[str, str]


class Manifest(BaseModel):
    """One run: its plan, what it came from, and how it ended (None until it has)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    trial: int | None
    plan: RunPlan
    fingerprints: Fingerprints
    result: RunResult | None = None

    def differences(self, now: Self) -> list[str]:
        """See `Record.differences`."""
        return fingerprint_differences(self.fingerprints, now.fingerprints)


@cache  # of the code that this process has loaded, whatever becomes of its files
def code_fingerprint() -> str:
    """SHA-256 over sweeper's own source files."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(path for ending in _SOURCES for path in root.rglob(f"*.{ending}")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def fingerprint_differences(old: Fingerprints, new: Fingerprints) -> list[str]:
    """What changed between two runs, a line each."""
    before, now = _flat(old), _flat(new)
    return [
        f"{key}: {before.get(key, 'none')} -> {now.get(key, 'none')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def ground_differences(old: Fingerprints, new: Fingerprints) -> list[str]:
    """What of base, corpus and order of the tokens changed: no run can go on over that."""
    names = ("base:", "corpus:", "stream:")
    return [line for line in fingerprint_differences(old, new) if line.startswith(names)]


def _flat(fingerprints: Fingerprints) -> dict[str, str]:
    values = fingerprints.model_dump()
    versions = values.pop("dependencies")
    short = {
        k: v[:12] if k in {"base", "corpus", "stream", "code"} else v for k, v in values.items()
    }
    return {**short, **versions}


def moved(source: str, old_folder: Path, new_folder: Path) -> str:
    """A source (path, builtin or hub name) as seen from another folder."""
    path = old_folder / Path(source).expanduser()
    if is_builtin(source) or not path.exists():
        return source
    relative = os.path.relpath(path.resolve(), new_folder.resolve())
    return relative if relative.startswith(".") else f"./{relative}"


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest durably, in the place of an older one."""
    write_json(path, manifest)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        CheckpointError: There is none, or it is damaged or of another format.
    """
    return read_json(path, Manifest)


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }
