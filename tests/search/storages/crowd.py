"""Many processes at one study, some of which die with a trial in hand."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from sweeper.search.store import StudyStore
from tests.search.fakes import TOKENS_PER_TRIAL, claimed, result, spec_at
from tests.servers import ROOT

DIED = 9


def work(folder: str, storage: str, name: str, trials: int, seed: int, death: float) -> None:
    """Work through the study without training; die at some trials, in the midst of them.

    Args:
        folder: Of the study file.
        storage: URL.
        name: Of the study.
        trials: Its budget.
        seed: Of this process.
        death: Chance to die at a trial, 0 to 1.
    """
    chance = random.Random(seed)
    changes = {"storage": storage, "name": name, "budget": {"trials": trials}}
    spec = spec_at(Path(folder), workers={"retries": 1000}, **changes)
    store = StudyStore(spec, create=False)
    while (claim := store.claim(f"{os.getpid()}")) is not None:
        loss = 4.0 + claim.number / 1000
        assert store.report(claim, 1000, loss + 0.5)
        if chance.random() < death:
            os._exit(DIED)
        assert store.renew(claim)
        assert store.finish(claim, result(val_loss=loss))


def run_crowd(
    folder: Path, storage: str, name: str, *, workers: int, trials: int, death: float
) -> int:
    """Let processes work until nothing is left, each that dies followed by another.

    Returns:
        How many died.
    """
    spec = spec_at(folder, storage=storage, name=name, budget={"trials": trials})
    StudyStore(spec, create=True)
    code = "from tests.search.storages.crowd import work; import sys; a = sys.argv; "
    code += "work(a[1], a[2], a[3], int(a[4]), int(a[5]), float(a[6]))"
    deaths = started = 0

    def start() -> subprocess.Popen[bytes]:
        nonlocal started
        started += 1
        arguments = [str(folder), storage, name, str(trials), str(started), str(death)]
        return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT)

    running = [start() for _ in range(workers)]
    while running:
        code_of_first = running.pop(0).wait()
        if code_of_first == DIED:
            deaths += 1
            running.append(start())
        else:
            assert code_of_first == 0
    return deaths


def finish_rest(store: StudyStore) -> None:
    """End what those left behind who died last."""
    while store.may_claim():
        assert store.finish(claimed(store), result(tokens=TOKENS_PER_TRIAL))
