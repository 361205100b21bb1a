"""A workbench that a module's tests share, and a way to train on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.curves import Point, Stop, StopReason
from sweeper.study import Hyperparameters
from sweeper.training.checkpoint import CheckpointFolder
from sweeper.training.engine import Engine
from sweeper.training.loop import Outcome
from sweeper.training.manifest import hash_files
from sweeper.training.peft_engine import PeftEngine
from sweeper.training.trial import plan_run, run_plan
from sweeper.training.watches import Lookout, Watch
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.training.places import DEVICES, KINDS, Place

PREEMPTED = Stop(StopReason.PREEMPTED, "interrupted")
TOKENS = 1_000  # 62 blocks of 16: 15 steps of 4 blocks and a last one of 2


@pytest.fixture(autouse=True)
def leave_torch(torch_as_it_was: None) -> None:
    """For every test here."""


@pytest.fixture(scope="package")
def ground_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ground")


@pytest.fixture(scope="package")
def bench(ground_folder: Path) -> Workbench:
    return tiny.new_bench(ground_folder)


@pytest.fixture(scope="package")
def engine(bench: Workbench) -> PeftEngine:
    return bench.new_engine()


@pytest.fixture(scope="module", params=DEVICES)
def benches(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder = tmp_path_factory.mktemp("answers")
    return tiny.new_bench(folder, loss_on="answers", device=request.param)


@pytest.fixture(scope="module", params=KINDS)
def place(benches: Workbench, request: pytest.FixtureRequest) -> Place:
    kind = KINDS[request.param]
    return Place(kind.new(benches.base, benches.device), benches, kind)


def never() -> None:
    """An interruption that does not come."""


def every(steps: int) -> Callable[[], Stop | None]:
    """An interruption after each so many steps."""
    asked = iter(range(1, 10_000))
    return lambda: PREEMPTED if next(asked) % steps == 0 else None


def steps_of(folder: Path) -> list[int]:
    return CheckpointFolder(folder / "checkpoint").steps()


class Runner:
    """Trains runs on one workbench."""

    def __init__(self, bench: Workbench, engine: Engine) -> None:
        self.bench = bench
        self.engine = engine

    def __call__(
        self,
        folder: Path,
        recipe: Hyperparameters = tiny.RECIPE,
        *,
        tokens: int = TOKENS,
        engine: Engine | None = None,
        watch: Watch | None = None,
        interrupt: Callable[[], Stop | None] = never,
    ) -> Outcome:
        return run_plan(
            plan_run(self.bench, recipe, tokens, folder),
            self.bench,
            engine or self.engine,
            watch or Lookout(),
            interrupt,
            folder,
        )


@pytest.fixture
def run(bench: Workbench, engine: PeftEngine) -> Runner:
    return Runner(bench, engine)


def curve_lines(folder: Path) -> list[dict[str, object]]:
    """The lines of a run's curve without the only field that may differ."""
    lines = (folder / "curve.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    """Two folders hold bit for bit the same run."""
    assert curve_lines(one) == curve_lines(other)
    assert hash_files(one / "adapter") == hash_files(other / "adapter")


class Script:
    """A watch that does at each step what a test wrote down for it.

    Args:
        stops: What it returns after a step.
        spikes: First step of the spike that it reports from a step on, until the next entry.
    """

    def __init__(
        self, stops: dict[int, Stop] | None = None, spikes: dict[int, int | None] | None = None
    ) -> None:
        self._stops = stops or {}
        self._spikes = spikes or {}
        self._spike: int | None = None
        self.updated: list[int] = []
        self.replayed: list[int] = []

    def update(self, point: Point) -> Stop | None:
        self.updated.append(point.step)
        self._spike = self._spikes.get(point.step, self._spike)
        return self._stops.get(point.step)

    def replay(self, point: Point) -> None:
        self.replayed.append(point.step)
        self._spike = self._spikes.get(point.step, self._spike)

    @property
    def spike_start_step(self) -> int | None:
        return self._spike
