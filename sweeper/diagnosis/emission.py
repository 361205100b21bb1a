"""Writes the study that tests a diagnosis's advice, and makes sure that it is one."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.diagnosis.gather import Request
from sweeper.errors import LogError, StudyFileError, UsageError
from sweeper.files import write_durably
from sweeper.logs import read_log
from sweeper.logs.log import GUESS_ALL


@dataclass(frozen=True)
class Emission:
    """A study file that was written, or that was there already with the same content.

    Attributes:
        path: The file.
        num_trials: How many trials it plans.
        is_new: Whether it was written now.
    """

    path: Path
    num_trials: int
    is_new: bool


def emit_study(diagnosis: Diagnosis, path: Path, request: Request, command: str | None) -> Emission:
    """Write the study file.

    Args:
        diagnosis: What the study tests.
        path: Where to write it; its folder must exist. Paths in it are relative to that folder.
        request: What the diagnosis was made of, as seen from the working folder.
        command: How the user starts a run, in the working folder.

    Raises:
        UsageError: Another file has that name, or it cannot be written.
        StudyFileError: The study would not be valid; nothing is left then.
    """
    from sweeper.diagnosis.plan import study_text
    from sweeper.study import load_study

    folder = path.parent
    text = study_text(
        diagnosis,
        name=path.stem,
        log_path=_recorded_from(folder, diagnosis, request),
        model=None if request.model is None else _base_from(folder, request.model),
        data=None if request.data is None else _corpus_from(folder, request.data),
        command=None if command is None else command_from(folder, command),
    )
    is_new = _write(path, text)
    try:
        spec = load_study(path)
    except StudyFileError:
        if is_new:
            path.unlink()
        raise
    return Emission(path, spec.budget.trials, is_new)


def _write(path: Path, text: str) -> bool:
    """Write a new file; True unless it is there already."""
    content = text.encode("utf-8")
    try:
        if path.exists():
            if path.read_bytes() == content:
                return False
            raise UsageError(
                f"{path}: exists and differs from the study that would be written; give "
                "--emit-study another name, or move the file away"
            )
        write_durably(path, content)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}); give --emit-study a file in a folder "
            "that exists and can be written"
        ) from error
    return True


def _seen_from(folder: Path, path: str) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _recorded_from(folder: Path, diagnosis: Diagnosis, request: Request) -> str:
    """The log's path; empty where a study, which has no flags for it, would not read it as we did.

    A study takes a file, not a folder or a stream.
    """
    log = request.log
    if log is None or not log.is_file():
        return ""
    if request.options != GUESS_ALL:
        try:
            if read_log(log).curve != diagnosis.case.curve:
                return ""
        except LogError:
            return ""
    return _seen_from(folder, str(log))


def _corpus_from(folder: Path, data: str) -> str:
    return data if data.startswith("builtin:") else _seen_from(folder, data)


def _base_from(folder: Path, model: str) -> str:
    """A folder as a path, which a leading `./` tells from a hub name; a name as it is."""
    if not Path(model).is_dir():
        return model
    seen = _seen_from(folder, model)
    return seen if seen.startswith(("..", "/")) else f"./{seen}"


def command_from(folder: Path, command: str) -> str:
    """A command that does in `folder` what it does in the working folder."""
    way = _seen_from(folder, ".")
    return command if way == "." else f"cd {shlex.quote(way)} && {command}"
