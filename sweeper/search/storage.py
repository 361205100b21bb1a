"""Where a study is stored: its folder, and the address of its database."""

from __future__ import annotations

import tempfile
from pathlib import Path

from sweeper.curves import Point
from sweeper.curves.curve import last_point
from sweeper.errors import StorageError
from sweeper.search.storages.address import Address
from sweeper.study import StudySpec
from sweeper.training.lost import read_lost

CRASH_LOG = "crashes.log"  # in a trial's folder: of the workers that died while training it
LONGEST_LAST_WORDS = 400


def database_file(spec: StudySpec) -> Path:
    """The SQLite file in the study's folder, which is its storage unless its file says more."""
    return spec.output_folder / "study.db"


def storage_address(spec: StudySpec) -> Address:
    """Where the study is stored."""
    if spec.storage == "default":
        return Address("sqlite", f"sqlite:///{database_file(spec)}")
    return Address.read(spec.storage, spec.folder)


def served_address(spec: StudySpec) -> Address:
    """What a server of the study serves: the file in its folder, where the study names a server."""
    address = storage_address(spec)
    if address.kind == "grpc":
        return Address("sqlite", f"sqlite:///{database_file(spec)}")
    return address


def make_folder(folder: Path) -> None:
    try:
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:  # many may begin a study at once
            probe.write(b"writable")
    except OSError as error:
        raise StorageError(
            f"the study's folder {folder.parent.name}/{folder.name} cannot be written "
            f"({error.strerror}). Free the disk or choose another with --set output=FOLDER"
        ) from error


def trial_folder(spec: StudySpec, number: int) -> Path:
    """The folder of one trial."""
    return spec.output_folder / "trials" / f"{number:04d}"


def last_words(spec: StudySpec, number: int) -> str:
    """The last line of what a trial's dead workers wrote; empty where they wrote nothing."""
    try:
        log = (trial_folder(spec, number) / CRASH_LOG).read_text("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1][:LONGEST_LAST_WORDS] if lines else ""


def newest_point(spec: StudySpec, number: int) -> Point | None:
    """How far a trial has come, whoever trained it; None before its first point."""
    return last_point(trial_folder(spec, number) / "curve.jsonl")


def tokens_so_far(spec: StudySpec, number: int) -> int:
    """Tokens that a trial which has not ended was trained on, in all attempts."""
    newest = newest_point(spec, number)
    return (newest.tokens if newest else 0) + read_lost(trial_folder(spec, number)).tokens


def has_begun(spec: StudySpec) -> bool:
    """Whether the study may have been run, by what this machine has of it."""
    if spec.storage == "default":
        return database_file(spec).is_file()
    if spec.artifacts is not None:  # elsewhere, perhaps: its storage knows
        return True
    return spec.output_folder.is_dir()
