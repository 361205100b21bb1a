"""The manifest of a trial that a command trained."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from sweeper.curves import Curve, Stop
from sweeper.study import CommandEngine, Hyperparameters, Rungs
from sweeper.training.course import Course
from sweeper.training.manifest_file import read_json, write_json

_STRICT = ConfigDict(frozen=True, extra="forbid")


class CommandPlan(BaseModel):
    """Everything that a person decides and a result depends on.

    Attributes:
        engine: The command and how its output is read.
        folder: Where it runs, relative to the folder that the plan is kept in.
        variables: What it is told, beside what concerns one attempt only.
        hyperparameters: The recipe, with a seed.
        tokens: The trial's budget.
        every_tokens: Distance of the rungs.
    """

    model_config = _STRICT

    engine: CommandEngine
    folder: str
    variables: dict[str, str]
    hyperparameters: Hyperparameters
    tokens: int
    every_tokens: int

    @property
    def shell_line(self) -> str:
        """What a person would type in a shell, in the plan's folder, for the same run."""
        told = " ".join(f"{name}={shlex.quote(text)}" for name, text in self.variables.items())
        return f"{told} {self.engine.line}"

    @property
    def course(self) -> Course:
        """The plan's steps and rungs."""
        return Course.of(self.hyperparameters, self.tokens, Rungs(self.every_tokens))


class CommandFingerprints(BaseModel):
    """What the result came from, as far as it can be seen from outside the command.

    Attributes:
        files: SHA-256 of the files that the command line names, by their names there.
        python: The Python that sweeper ran on; a script's own may be another.
        machine: System and processor.
    """

    model_config = _STRICT

    files: dict[str, str]
    python: str
    machine: str

    def differences(self, now: Self) -> list[str]:
        """What is another by now, a line each."""
        before, after = self._flat(), now._flat()
        return [
            f"{key}: {before.get(key, 'none')} -> {after.get(key, 'none')}"
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key)
        ]

    def _flat(self) -> dict[str, str]:
        short = {name: digest[:12] for name, digest in self.files.items()}
        return {**short, "python": self.python, "machine": self.machine}


class CommandResult(BaseModel):
    """How the run ended."""

    model_config = _STRICT

    stop_reason: str
    evidence: str
    val_loss: float | None
    last_step: int
    tokens: int
    seconds: float
    exit_code: int | None
    notes: list[str]


class CommandManifest(BaseModel):
    """One run of a command: its plan, what it came from, and how it ended (None until it has)."""

    model_config = _STRICT

    format: Literal[1] = 1
    kind: Literal["command"] = "command"
    trial: int | None
    plan: CommandPlan
    fingerprints: CommandFingerprints
    result: CommandResult | None = None

    def differences(self, now: Self) -> list[str]:
        """See `Record.differences`."""
        return self.fingerprints.differences(now.fingerprints)

    def moved(self, old_folder: Path, new_folder: Path) -> CommandManifest:
        """The same manifest, to be kept in another folder."""
        at = os.path.relpath((old_folder / self.plan.folder).resolve(), new_folder.resolve())
        return self.model_copy(update={"plan": self.plan.model_copy(update={"folder": at})})


def take_command_fingerprints(engine: CommandEngine, folder: Path) -> CommandFingerprints:
    """Fingerprint the files that a command line names, as seen from the folder it runs in."""
    named = {word: folder / word for word in engine.command if not Path(word).is_absolute()}
    return CommandFingerprints(
        files={
            word: hashlib.sha256(path.read_bytes()).hexdigest()
            for word, path in named.items()
            if path.is_file()
        },
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
    )


def command_result(
    stop: Stop, curve: Curve, exit_code: int | None, notes: tuple[str, ...]
) -> CommandResult:
    """How a run ended, in a manifest's form."""
    last = curve.points[-1] if curve.points else None
    return CommandResult(
        stop_reason=stop.reason.value,
        evidence=stop.evidence,
        val_loss=curve.last_val_loss,
        last_step=last.step if last else 0,
        tokens=last.tokens if last else 0,
        seconds=(last.seconds or 0.0) if last else 0.0,
        exit_code=exit_code,
        notes=list(notes),
    )


def write_command_manifest(path: Path, manifest: CommandManifest) -> None:
    """Write a manifest durably, in the place of an older one."""
    write_json(path, manifest)


def read_command_manifest(path: Path) -> CommandManifest:
    """Read a command's manifest.

    Raises:
        CheckpointError: There is none, or it is damaged or of another format.
    """
    return read_json(path, CommandManifest)
