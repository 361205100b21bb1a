"""One recipe outside any study: ordered, interrupted, and trained again from its manifest."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from sweeper.curves import Point, Stop, StopReason
from sweeper.errors import BaseError, CheckpointError, UsageError
from sweeper.training.device import find_device
from sweeper.training.manifest import read_manifest
from sweeper.training.single import RunOrder, recorded_end, train_manifest, train_recipe
from sweeper.training.trial import plan_run, run_plan
from sweeper.training.watches import Lookout
from sweeper.training.workbench import Workbench, set_up
from tests import tiny
from tests.training.conftest import Script, assert_same_run, curve_lines, every, never


def silent(*_: object) -> None:
    """A report or an observer that nobody reads."""


def order(steps: int | None = 5, tokens: int | None = None, **changes: object) -> RunOrder:
    return RunOrder(tiny.recipe(**changes), "./base", "./qa.md", steps, tokens, threads=1)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a base and a corpus."""
    tiny.write_base(tmp_path / "base")
    tiny.write_corpus(tmp_path / "qa.md")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_budget_of_an_order() -> None:
    assert order(steps=5).total_tokens == 5 * 64
    assert order(steps=5, accumulation=3).total_tokens == 15 * 64
    assert order(steps=None, tokens=777).total_tokens == 777
    assert order(steps=None).total_tokens == 240_000
    with pytest.raises(UsageError, match="give one of them"):
        _ = order(steps=5, tokens=777).total_tokens


def test_order_trains_and_leaves_a_manifest_with_relative_paths(here: Path) -> None:
    shown: list[tuple[int, int]] = []
    outcome = train_recipe(
        order(seed=None), Path("runs/a"), observe=lambda p, t: shown.append((p.step, t)),
        report=silent,
    )  # fmt: skip
    assert outcome.stop.reason is StopReason.COMPLETED
    assert shown == [(step, 320) for step in range(6)]
    plan = read_manifest(here / "runs" / "a" / "manifest.json").plan
    assert (plan.model, plan.data.train) == ("../../base", "../../qa.md")
    assert (plan.hyperparameters.seed, plan.split_seed) == (0, 0)


def test_interrupted_order_resumes_to_the_same_run(here: Path) -> None:
    train_recipe(order(), Path("runs/whole"), observe=silent, report=silent)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for number, at_step in ((signal.SIGINT, 2), (signal.SIGTERM, 3)):

        def interrupt(
            point: Point, _: int, number: signal.Signals = number, at_step: int = at_step
        ) -> None:
            if point.step == at_step:
                signal.raise_signal(number)

        outcome = train_recipe(order(), Path("runs/cut"), observe=interrupt, report=silent)
        assert outcome.stop.reason is StopReason.PREEMPTED
        assert outcome.curve.points[-1].step == at_step
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    train_recipe(order(), Path("runs/cut"), observe=silent, report=silent)
    assert_same_run(here / "runs" / "whole", here / "runs" / "cut")


def test_second_interruption_ends_at_once(here: Path) -> None:
    def twice(point: Point, _: int) -> None:
        if point.step == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_recipe(order(), Path("runs/cut"), observe=twice, report=silent)
    train_recipe(order(), Path("runs/cut"), observe=silent, report=silent)
    train_recipe(order(), Path("runs/whole"), observe=silent, report=silent)
    assert_same_run(here / "runs" / "whole", here / "runs" / "cut")


def test_order_that_another_engine_began_goes_on_with_it(here: Path) -> None:
    """Earlier versions trained every base with peft."""
    bench = set_up(order().ground(), find_device(1))
    folder = here / "runs" / "old"
    plan = plan_run(bench, tiny.RECIPE, order().total_tokens, folder, engine="peft")
    run_plan(plan, bench, bench.new_engine(), Lookout(), every(2), folder)
    outcome = train_recipe(order(), folder, observe=silent, report=silent)
    assert outcome.stop.reason is StopReason.COMPLETED
    assert [point.step for point in outcome.curve] == list(range(6))
    assert read_manifest(folder / "manifest.json").plan.engine == "peft"


@pytest.mark.parametrize("at_step", [0, 3, 6])
def test_manifest_of_a_stopped_run_ends_where_it_ended(
    bench: Workbench, ground_folder: Path, tmp_path_factory: pytest.TempPathFactory, at_step: int
) -> None:
    """Six steps, the last of them short."""
    folder = ground_folder / "stopped" / str(at_step)
    stop = Stop(StopReason.PLATEAU, "flat")
    plan = plan_run(bench, tiny.RECIPE, 5 * 64 + 16, folder)
    run_plan(plan, bench, bench.new_engine(), Script(stops={at_step: stop}), never, folder)
    again = folder.parent / f"again-{at_step}"
    again.mkdir()
    shutil.copyfile(folder / "manifest.json", again / "manifest.json")
    outcome = train_manifest(again / "manifest.json", observe=silent, report=silent)
    assert outcome.stop == stop
    assert len(outcome.curve) == at_step + 1
    assert curve_lines(again) == curve_lines(folder)
    assert recorded_end(read_manifest(again / "manifest.json")) == (at_step, stop)


def test_manifest_without_a_result_has_no_end(here: Path) -> None:
    train_recipe(order(), Path("run"), observe=silent, report=silent)
    manifest = read_manifest(here / "run" / "manifest.json")
    assert recorded_end(manifest) is not None
    assert recorded_end(manifest.model_copy(update={"result": None})) is None


def test_what_cannot_be_used_is_refused_before_anything_is_written(here: Path) -> None:
    for kind, wrong in (
        (BaseError, RunOrder(tiny.RECIPE, "./nowhere", "./qa.md", 5, None, 1)),
        (UsageError, RunOrder(tiny.RECIPE, "./base", "builtin:nothing", 5, None, 1)),
    ):
        with pytest.raises(kind):
            train_recipe(wrong, Path("run"), observe=silent, report=silent)
    with pytest.raises(CheckpointError, match="no manifest there"):
        train_manifest(here / "run" / "manifest.json", observe=silent, report=silent)
    assert not (here / "run").exists()
