"""What all tests share: one thread each, and a place in memory for studies."""

from __future__ import annotations

import faulthandler
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

# What holds for every input is tried on a hundred, unless a test says otherwise: always the same.
# HYPOTHESIS_PROFILE=thorough tries more, and others each time.
settings.register_profile("same", derandomize=True)
settings.register_profile("thorough", max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# The tests run side by side, a process for each core: more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Called by pytest, which has set the alarm by which a test that hangs is ended."""
    if item.get_closest_marker("long"):
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is kept in the user's own cache; all processes of a run of the tests share one."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWEEPER_CACHE", str(shared / "cache"))
        yield


@pytest.fixture
def torch_as_it_was() -> Iterator[None]:
    """Leave threads and determinism as they were for other tests."""
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")


@pytest.fixture
def stored_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies of this test are stored in this process and not in a database.

    A database takes a third of a second to make, and a fifth for each trial. What is opened at
    one address is one storage, and what is read from it went through JSON, as in a database.
    """
    from optuna.storages import JournalStorage

    from tests.journal import Lines

    journals: defaultdict[str, Lines] = defaultdict(Lines)

    def open_journal(url: str, **_: Any) -> JournalStorage:
        return JournalStorage(journals[url])

    monkeypatch.setattr("sweeper.search.storages.opening.RDBStorage", open_journal)


@pytest.fixture
def reproduced_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are trained again in this process: to start another and import torch takes seconds."""
    from tests.program import Here

    # Not `Popen` itself, by which a study's own commands are started too.
    stand_in = SimpleNamespace(**{**vars(subprocess), "Popen": Here})
    monkeypatch.setattr("sweeper.training.reproduction.subprocess", stand_in)
