"""What Optuna's dashboard shows of a study: a note per trial, the plot, and the server itself."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.exceptions import StorageInternalError
from optuna.trial import Trial

from sweeper.errors import StorageError
from sweeper.search.claim import Claim
from sweeper.search.outcomes import Result
from sweeper.search.storage import storage_address
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec

_PLOT = "plot_sha256"


def note_trial(store: StudyStore, claim: Claim, result: Result) -> None:
    """Attach a short note to a trial: what it is, how it ended, and why."""
    from optuna_dashboard import save_note

    what = "**Baseline**" if claim.is_baseline else "Sampled trial"
    if claim.hypothesis is not None:
        what = f"Hypothesis: {_plain(claim.hypothesis)}"
    loss = "none" if result.val_loss is None else f"{result.val_loss:.4f} nats"
    body = (
        f"{what}\n\n"
        f"Ended by **{result.stop.reason.value}** after {result.tokens:,} tokens, "
        f"validation loss {loss}.\n\n{_plain(result.stop.evidence)}\n"
    )
    with suppress(StorageInternalError):  # the trial's end meets it too, and is no note
        save_note(Trial(store.study, claim.trial_id), body)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: letters of markup become entities.

    What is no letter at all, such as an escape or a turn of the reading direction, is left out.
    """
    line = "".join(c if c.isprintable() else " " for c in text)
    return "".join(f"&#{ord(c)};" if c in "<>&[]()*_`#|!\\" else c for c in line)


def attach_plot(store: StudyStore, path: Path) -> None:
    """Attach a PNG to the study, unless this very picture is there already."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if store.study.user_attrs.get(_PLOT) == digest:
        return
    folder = _artifact_folder(store.spec)
    folder.mkdir(exist_ok=True)
    upload_artifact(
        artifact_store=FileSystemArtifactStore(folder),
        file_path=str(path),
        study_or_trial=store.study,
        mimetype="image/png",
    )
    store.study.set_user_attr(_PLOT, digest)


def _artifact_folder(spec: StudySpec) -> Path:
    return spec.output_folder / "artifacts"


def start_dashboard(spec: StudySpec, port: int) -> subprocess.Popen[bytes]:
    """Start optuna-dashboard on the loopback address, as a process of its own.

    Raises:
        StorageError: The study has not been run yet, or the program is missing.
    """
    StudyStore(spec, create=False)
    program = Path(sys.executable).parent / "optuna-dashboard"
    if not program.is_file():
        raise StorageError(
            "optuna-dashboard is not installed beside this Python; pip install optuna-dashboard"
        )
    place = _dashboard_storage(spec)
    _artifact_folder(spec).mkdir(exist_ok=True)
    command = [
        str(program),
        "--host=127.0.0.1",
        f"--port={port}",
        f"--artifact-dir={_artifact_folder(spec)}",
    ]
    with _whispered(f"[optuna_dashboard]\nstorage = {_toml(place)}\n") as end:
        return subprocess.Popen([*command, f"--from-config=/dev/fd/{end}"], pass_fds=[end])


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@contextmanager
def _whispered(text: str) -> Iterator[int]:
    """A pipe's end from which a child reads a text: everybody may read a command line."""
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            pipe.write(text)
        yield reading
    finally:
        os.close(reading)


def _dashboard_storage(spec: StudySpec) -> str:
    """The study's storage as optuna-dashboard names it.

    Raises:
        StorageError: The dashboard cannot use it.
    """
    address = storage_address(spec)
    if address.kind == "grpc":
        raise StorageError(
            f"optuna-dashboard cannot use {address}. Next: start it beside the server, with "
            "--set storage=default or the storage that is served"
        )
    return str(address.path) if address.kind == "journal" else address.url
