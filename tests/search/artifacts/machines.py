"""Two machines: folders of their own, with one storage and one place for artifacts between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sweeper.search.workers.joining import join_study
from sweeper.study import StudySpec
from tests.search.conftest import NewStudy

# A worker that sends as soon as there is something to send: a test waits for no rhythm.
_EAGER = """
from sweeper.search.artifacts import shipping
from sweeper.cli import main

shipping.RENEW_SECONDS = 0.05
main()
"""


def machines(
    new_study: NewStudy, root: Path, *names: str, place: str | None = None, **changes: Any
) -> list[StudySpec]:
    """The same study on several machines."""
    store = root / "store"
    store.mkdir(exist_ok=True)
    storage = f"sqlite:///{root / 'shared.db'}"
    return [
        new_study(name, storage=storage, artifacts=place or str(store), **changes) for name in names
    ]


def join(spec: StudySpec) -> None:
    """Train what is left, in this process."""
    join_study(spec, observe=lambda _: None, tell=lambda *_: None)


def archives(root: Path) -> list[Path]:
    """What the folder of artifacts has."""
    return sorted((root / "store").rglob("*.tar"))


@contextmanager
def eager_worker(spec: StudySpec) -> Iterator[subprocess.Popen[str]]:
    """A worker in a process group of its own that does not outlive the test."""
    process = subprocess.Popen(
        [sys.executable, "-c", _EAGER, "worker", spec.path.name],
        cwd=spec.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End a worker and its child as a power cut would; what it had said."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()
