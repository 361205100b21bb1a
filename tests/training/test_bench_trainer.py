"""Jobs on their way through the packs of a study's trainer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sweeper.curves import StopReason
from sweeper.errors import BaseError
from sweeper.study import Hyperparameters, StudySpec, spec_to_plain
from sweeper.training import packs
from sweeper.training.bench_trainer import BenchTrainer
from sweeper.training.device import find_device
from sweeper.training.engine import Pack
from sweeper.training.ground import ground_of
from sweeper.training.manifest import read_manifest
from sweeper.training.outcome import Outcome
from sweeper.training.setup import PrecisionChoice, Setup
from sweeper.training.solo import SoloPack
from sweeper.training.trainer import Assignment, Job
from sweeper.training.trial import plan_run, run_plan
from sweeper.training.watches import Lookout
from sweeper.training.workbench import Workbench, set_up
from tests import tiny
from tests.training.conftest import every, never
from tests.training.rows import Row

TOKENS = 256
SHORT = tiny.recipe(batch_size=16)  # a single step
LONG = tiny.RECIPE  # four steps
ALONE = tiny.recipe(batch_size=8, train_also="norms")  # two steps, and not in a pack


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    tiny.write_base(tmp_path / "base")
    tiny.write_corpus(tmp_path / "qa.md")
    return StudySpec.model_validate(
        {
            "name": "jobs",
            "model": "./base",
            "data": {"train": "./qa.md", "validation": "10%"},
            "evaluate": {"block_size": 16, "every_tokens": TOKENS, "tokens": 96},
            "budget": {"trials": 9, "tokens_per_trial": TOKENS},
            "baseline": {"hyperparameters": {"block_size": 16, "batch_size": 4}},
            "space": {"rank": [1, 2]},
        }
    ).at(tmp_path / "study.yaml")


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs of engines side by side in place of the packed engine."""

    def new_pack(engine: str, bench: Workbench, slots: int = 1) -> Pack:
        return Row(bench, slots) if engine == "packed" else SoloPack(bench.new_engine())

    monkeypatch.setattr(packs, "new_pack", new_pack)


class Desk:
    """Gives out jobs, and writes down when they were taken and settled.

    Args:
        folder: Gets the trials.
        recipes: Of the jobs in their order; None where there is nothing to take at that time.
    """

    def __init__(self, folder: Path, recipes: Sequence[Hyperparameters | None]) -> None:
        self._folder = folder
        self._recipes = list(recipes)
        self._taken = 0
        self.events: list[str] = []
        self.ended: dict[int, Outcome | Exception] = {}

    def take(self) -> Job | None:
        recipe = self._recipes.pop(0) if self._recipes else None
        if recipe is None:
            self.events.append("none")
            return None
        number, self._taken = self._taken, self._taken + 1
        self.events.append(f"take {number}")
        assignment = Assignment(number, recipe, self._folder / str(number))
        return Job(assignment, lambda *_: Lookout(), never, partial(self._settle, number))

    def _settle(self, number: int, ended: Outcome | Exception) -> None:
        assert number not in self.ended
        self.events.append(f"settle {number}")
        self.ended[number] = ended

    def reasons(self) -> list[StopReason]:
        ended = [self.ended[number] for number in sorted(self.ended)]
        return [e.stop.reason for e in ended if isinstance(e, Outcome)]


def work(spec: StudySpec, recipes: Sequence[Hyperparameters | None], slots: int) -> Desk:
    desk = Desk(spec.folder, recipes)
    BenchTrainer(spec).work(desk.take, Setup(threads=1, slots=slots))
    return desk


def test_a_free_seat_is_filled_with_the_next_job_at_once(spec: StudySpec) -> None:
    desk = work(spec, [LONG, SHORT, SHORT, SHORT], slots=2)
    assert desk.events == [
        *("take 0", "take 1", "settle 1", "take 2", "settle 2", "take 3", "settle 3"),
        *("none", "settle 0", "none"),
    ]
    assert desk.reasons() == [StopReason.COMPLETED] * 4


def test_after_nothing_to_take_it_asks_again_once_a_job_has_ended(spec: StudySpec) -> None:
    desk = work(spec, [LONG, None, SHORT], slots=3)
    assert desk.events == ["take 0", "none", "settle 0", "take 1", "none", "settle 1", "none"]


def test_nothing_to_take_and_nothing_in_hand_is_the_end(spec: StudySpec) -> None:
    assert work(spec, [None, SHORT], slots=2).events == ["none"]


def test_a_job_whose_pack_is_full_waits_in_hand_and_no_other_is_taken(spec: StudySpec) -> None:
    desk = work(spec, [LONG, ALONE, ALONE, SHORT], slots=2)
    assert desk.events == [
        *("take 0", "take 1", "take 2", "settle 1"),
        *("take 3", "settle 3", "none", "settle 0", "settle 2", "none"),
    ]
    assert desk.reasons() == [StopReason.COMPLETED] * 4


def test_a_recipe_that_does_not_fit_is_settled_while_its_neighbour_trains(spec: StudySpec) -> None:
    desk = work(spec, [LONG, tiny.recipe(block_size=65), SHORT], slots=2)
    assert isinstance(desk.ended[1], BaseError)
    assert desk.reasons() == [StopReason.COMPLETED] * 2
    assert desk.events[:4] == ["take 0", "take 1", "settle 1", "take 2"]


def test_a_begun_trial_goes_on_with_its_engine_and_precision(spec: StudySpec) -> None:
    """Though a trial that begins now would have others."""
    recipe = tiny.recipe(precision="auto")
    folder = spec.folder / "0"
    bench = replace(
        set_up(ground_of(spec), find_device(1)), precision=PrecisionChoice("bf16", "measured")
    )
    plan = plan_run(bench, recipe, TOKENS, folder, engine="peft")
    run_plan(plan, bench, bench.new_engine(), Lookout(), every(2), folder)
    setup = Setup(threads=1, slots=2, precision=PrecisionChoice("fp32", "measured elsewhere"))
    desk = Desk(spec.folder, [recipe, recipe])
    BenchTrainer(spec).work(desk.take, setup)
    assert desk.reasons() == [StopReason.COMPLETED] * 2
    plans = [read_manifest(spec.folder / name / "manifest.json").plan for name in ("0", "1")]
    assert [(p.engine, p.hyperparameters.precision) for p in plans] == [
        ("peft", "bf16"),
        ("packed", "fp32"),
    ]


def test_a_base_that_cannot_be_used_is_told_to_whoever_gave_the_job(spec: StudySpec) -> None:
    wrong = spec.model_copy(update={"model": "./nowhere"})
    desk = work(wrong.at(spec.path), [LONG, None], slots=2)
    assert isinstance(desk.ended[0], BaseError)
    assert desk.events == ["take 0", "settle 0", "none"]


def test_what_only_starts_those_who_train_does_not_wait_for_torch(spec: StudySpec) -> None:
    code = """
import json, sys
from pathlib import Path
from sweeper.study import spec_from_plain
from sweeper.training.bench_trainer import BenchTrainer
trainer = BenchTrainer(spec_from_plain(json.load(sys.stdin), Path(sys.argv[1])))
trainer.prepare(print)
trainer.has_accelerator()
print([name for name in ("torch", "transformers", "peft") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(spec.path)],
        input=json.dumps(spec_to_plain(spec)),
        capture_output=True,
        text=True,
        check=True,
    )

    names = {path.name for path in Path("/dev").iterdir()}
    may_have_one = names & {"dxg", "kfd"} or any(name.startswith("nvidia") for name in names)
    assert done.stdout == ("['torch']\n" if may_have_one else "[]\n")
