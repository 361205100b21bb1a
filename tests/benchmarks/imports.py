"""How long imports take inside of an arm's clock, so that they can be left out on every side."""

from __future__ import annotations

import importlib._bootstrap as bootstrap
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Self
from unittest.mock import patch

from sweeper.search.claim import Claim
from sweeper.search.store import StudyStore
from sweeper.search.workers.trainers import training_modules
from tests.benchmarks.job import Job
from tests.benchmarks.ours import run_job, write_study


class ImportWatch:
    """Adds up the seconds of all imports while it is entered, those inside of others once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = threading.local()
        self._load: Any = getattr(bootstrap, "_find_and_load")  # noqa: B009  # typed as absent

    def __enter__(self) -> Self:
        self._patch = patch.object(bootstrap, "_find_and_load", self._timed)
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def _timed(self, *arguments: Any) -> Any:
        outer = getattr(self._depth, "value", 0)
        self._depth.value, began = outer + 1, time.perf_counter()
        try:
            return self._load(*arguments)
        finally:
            self._depth.value = outer
            if not outer:
                self.seconds += time.perf_counter() - began


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker of ours imports after it holds its first trial: a study in this process.

    Before that it has what its trainers are forked with.
    """
    job, workers = Job.read(payload["job"]), {"backend": "inline", "threads": 1}
    for name in training_modules(write_study(job, "auto", workers, prune=False, num_rungs=1)):
        import_module(name)
    watch = ImportWatch()
    claim = StudyStore.claim

    def claim_and_watch(store: StudyStore, owner: str) -> Claim | None:
        taken = claim(store, owner)
        if taken is not None and taken.number == 0:
            watch.__enter__()
        return taken

    with patch.object(StudyStore, "claim", claim_and_watch):
        run_job(job, workers=workers)
    watch.__exit__()
    return {"imports_s": watch.seconds}
