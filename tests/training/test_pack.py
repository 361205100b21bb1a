"""Several runs on the seats of one pack, against each of them alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.curves import Point, Stop, StopReason, read_curve
from sweeper.data import Blocks
from sweeper.study import Hyperparameters
from sweeper.training import pack as pack_module
from sweeper.training.engine import Engine, SeatOutOfMemory
from sweeper.training.loop import Asking
from sweeper.training.outcome import Outcome
from sweeper.training.pack import PackDriver
from sweeper.training.trial import plan_run, trial_steps
from sweeper.training.watches import Lookout, Watch
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.training.conftest import (
    PREEMPTED,
    TOKENS,
    Runner,
    Script,
    assert_same_run,
    every,
    never,
    steps_of,
)
from tests.training.rows import Row

# 16 steps, 7 steps and 8 steps of TOKENS; dropout draws from the generators of the process.
RECIPES = {
    "dropout": tiny.recipe(dropout=0.2),
    "norms": tiny.recipe(batch_size=3, accumulation=3, train_also="norms", dropout=0.1, seed=8),
    "long blocks": tiny.recipe(block_size=32, rank=3, learning_rate=1e-2, dropout=0.3),
}


class Party:
    """Runs on one row of engines, and how they ended."""

    def __init__(self, bench: Workbench, row: Row, folder: Path) -> None:
        self.bench = bench
        self.row = row
        self.folder = folder
        self.driver = PackDriver(row)
        self.ended: dict[str, Outcome | Exception] = {}

    def seat(
        self,
        name: str,
        recipe: Hyperparameters = tiny.RECIPE,
        *,
        tokens: int = TOKENS,
        watch: Watch | None = None,
        interrupt: Callable[[], Stop | None] = never,
        bench: Workbench | None = None,
    ) -> None:
        folder = self.folder / name

        def run(engine: Engine) -> Asking[Outcome]:
            plan = plan_run(self.bench, recipe, tokens, folder)
            here = bench or self.bench
            return trial_steps(plan, here, engine, watch or Lookout(), interrupt, folder)

        def settle(ended: Outcome | Exception) -> None:
            assert name not in self.ended
            self.ended[name] = ended

        self.driver.seat(run, settle)

    def drive(self) -> None:
        while self.driver.is_busy:
            self.driver.advance()

    def reason(self, name: str) -> StopReason:
        ended = self.ended[name]
        assert isinstance(ended, Outcome)
        return ended.stop.reason


@pytest.fixture(scope="module")
def row_of_two(bench: Workbench) -> Row:
    return Row(bench, 2)


@pytest.fixture
def party(bench: Workbench, row_of_two: Row, tmp_path: Path) -> Iterator[Party]:
    row_of_two.steps.clear()
    row_of_two.evaluations.clear()
    row_of_two.limits.clear()
    party = Party(bench, row_of_two, tmp_path / "party")
    with closing(party.driver):
        yield party


@pytest.fixture(scope="module")
def alone(bench: Workbench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each recipe trained by itself."""
    folder = tmp_path_factory.mktemp("alone")
    run = Runner(bench, bench.new_engine())
    for name, recipe in RECIPES.items():
        run(folder / name, recipe)
    return folder


def test_runs_side_by_side_are_what_they_are_alone(
    bench: Workbench, alone: Path, tmp_path: Path
) -> None:
    party = Party(bench, Row(bench, 3), tmp_path)
    for name, recipe in RECIPES.items():
        party.seat(name, recipe)
    assert not party.driver.has_room
    party.drive()
    for name in RECIPES:
        assert party.reason(name) is StopReason.COMPLETED
        assert_same_run(alone / name, tmp_path / name)
    assert party.row.steps == [[0, 1, 2]] * 7 + [[0, 2]] + [[0]] * 8


def test_a_free_seat_is_taken_while_the_neighbour_trains_on(party: Party, alone: Path) -> None:
    party.seat("dropout", RECIPES["dropout"])
    party.seat("norms", RECIPES["norms"])
    while not party.driver.has_room:
        party.driver.advance()
    assert list(party.ended) == ["norms"]
    party.seat("long blocks", RECIPES["long blocks"])
    assert not party.driver.has_room
    party.drive()
    assert party.row.steps == [[0, 1]] * 15 + [[0]]
    for name in RECIPES:
        assert_same_run(alone / name, party.folder / name)


def test_runs_that_ask_for_the_same_blocks_are_evaluated_together(
    party: Party, tmp_path: Path
) -> None:
    other = tiny.new_bench(tmp_path)
    party.seat("one", tokens=640)
    party.seat("two", tiny.recipe(rank=3), tokens=640)
    party.drive()
    assert party.row.evaluations == [[0, 1]] * 3  # rungs at 0, 320 and 640
    party.row.evaluations.clear()
    party.seat("three", tokens=640)
    party.seat("four", tokens=640, bench=other)
    party.drive()
    assert party.row.evaluations == [[0], [1]] * 3
    assert party.reason("four") is StopReason.COMPLETED


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock by which everything that is measured takes a second."""
    ticks = itertools.count()
    monkeypatch.setattr(pack_module.time, "perf_counter", lambda: float(next(ticks)))


@pytest.mark.usefixtures("ticking")
def test_a_rounds_seconds_are_shared_by_tokens(party: Party) -> None:
    """Steps of 4 and of 12 blocks: 16 rounds, of which the first 6 are shared, the last short."""
    party.seat("few", tiny.recipe(batch_size=4))
    party.seat("many", tiny.recipe(batch_size=12))
    party.drive()
    few, many = (
        [p.seconds or 0.0 for p in read_curve(party.folder / name / "curve.jsonl")]
        for name in ("few", "many")
    )
    assert few[:6] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
    assert many[:6] == [0.0, 0.75, 1.5, 2.25, 3.0, 3.75]
    assert few[-1] + many[-1] == pytest.approx(16.0)


@pytest.mark.usefixtures("ticking")
def test_a_step_that_did_not_fit_is_paid_by_those_that_did(party: Party) -> None:
    party.row.limits[1] = 1
    party.seat("roomy", tokens=64)
    party.seat("cramped", tokens=64)
    party.drive()
    seconds = [read_curve(party.folder / n / "curve.jsonl").points[-1].seconds for n in party.ended]
    assert seconds == [1.5, 1.5]  # 4 -> 2 -> 1 blocks: one round of three attempts


def test_a_lack_of_memory_is_its_seats_alone(party: Party, alone: Path, tmp_path: Path) -> None:
    party.row.limits[1] = 2
    party.seat("dropout", RECIPES["dropout"])
    party.seat("cramped", tiny.recipe(batch_size=4))
    party.drive()
    assert_same_run(alone / "dropout", party.folder / "dropout")
    cramped = party.ended["cramped"]
    assert isinstance(cramped, Outcome)
    assert (cramped.stop.reason, cramped.micro_batch) == (StopReason.COMPLETED, 2)
    assert ["micro-batch 4 -> 2" in note for note in cramped.notes] == [True]
    assert party.row.steps == [[0, 1]] * 16  # it missed none


def test_a_seat_without_room_for_one_block_ends_alone(party: Party, alone: Path) -> None:
    party.row.limits[0] = 0
    party.seat("cramped")
    party.seat("dropout", RECIPES["dropout"])
    party.driver.advance()
    assert party.reason("cramped") is StopReason.OUT_OF_MEMORY
    assert party.driver.has_room
    party.drive()
    assert_same_run(alone / "dropout", party.folder / "dropout")


class Raising(Script):
    """A watch with a defect from a step on."""

    def __init__(self, step: int, error: BaseException) -> None:
        super().__init__()
        self._step = step
        self._error = error

    def update(self, point: Point) -> Stop | None:
        if point.step == self._step:
            raise self._error
        return super().update(point)


@pytest.mark.parametrize("step", [0, 3, 5])
def test_a_defect_is_told_to_its_owner_and_frees_the_seat(
    party: Party, alone: Path, step: int
) -> None:
    defect = ZeroDivisionError("a defect")
    party.seat("broken", watch=Raising(step, defect))
    party.seat("dropout", RECIPES["dropout"])
    while "broken" not in party.ended:
        party.driver.advance()
    assert party.ended == {"broken": defect}
    party.seat("norms", RECIPES["norms"])
    party.drive()
    for name in ("dropout", "norms"):
        assert_same_run(alone / name, party.folder / name)


def test_a_recipe_that_does_not_fit_is_told_and_takes_no_seat(party: Party) -> None:
    party.seat("wrong", tiny.recipe(target_modules="nowhere"))
    party.seat("long", tiny.recipe(block_size=65))
    assert not party.driver.is_busy
    assert ["nowhere" in str(e) or "65" in str(e) for e in party.ended.values()] == [True, True]


def test_a_defect_of_the_pack_ends_every_run_in_it(party: Party, alone: Path) -> None:
    defect = RuntimeError("shapes do not match")
    party.seat("one")
    party.seat("two")
    party.driver.advance()
    party.row.defect = defect
    party.driver.advance()
    assert party.ended == {"one": defect, "two": defect}
    assert not party.driver.is_busy
    party.seat("dropout", RECIPES["dropout"])
    party.drive()
    assert_same_run(alone / "dropout", party.folder / "dropout")


def test_a_failed_evaluation_ends_the_runs_that_asked_for_it(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    party.seat("one", tokens=640)
    party.driver.advance()
    with monkeypatch.context() as patch:
        patch.setattr(party.row, "evaluate", fail)
        party.seat("two", tokens=640)
        party.driver.advance()
    assert list(party.ended) == ["two"]
    party.drive()
    assert party.reason("one") is StopReason.COMPLETED


def test_an_evaluation_that_does_not_fit_ends_the_run_of_its_seat_alone(
    party: Party, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = party.row.evaluate

    def lack_room(seats: Collection[int], blocks: Blocks) -> dict[int, float]:
        if 0 in seats:
            raise SeatOutOfMemory(0)
        return real(seats, blocks)

    monkeypatch.setattr(party.row, "evaluate", lack_room)
    party.seat("cramped")
    party.seat("dropout", RECIPES["dropout"])
    party.drive()
    (told,) = [ended for ended in party.ended.values() if isinstance(ended, Exception)]
    assert isinstance(party.ended["cramped"], MemoryError)
    assert str(told) == "at step 0: no evaluation fits into the memory"
    assert_same_run(alone / "dropout", party.folder / "dropout")


def test_a_loss_that_is_no_number_ends_its_run_alone(
    party: Party, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, rounds = party.row.accumulate, itertools.count(1)

    def diverge(batches: object) -> object:
        gradients = real(batches)  # type: ignore[arg-type]
        if next(rounds) == 3:
            gradients[1] = replace(gradients[1], train_loss=math.nan, grad_norm=math.inf)
        return gradients

    monkeypatch.setattr(party.row, "accumulate", diverge)
    party.seat("dropout", RECIPES["dropout"])
    party.seat("diverging")
    party.drive()
    assert party.reason("diverging") is StopReason.NON_FINITE
    assert read_curve(party.folder / "diverging" / "curve.jsonl").points[-1].step == 3
    assert_same_run(alone / "dropout", party.folder / "dropout")


@pytest.mark.parametrize("steps", [2, 5])
def test_an_interrupted_pack_goes_on_as_if_nothing_had_been(
    party: Party, alone: Path, steps: int
) -> None:
    names = ["dropout", "norms", "long blocks"]
    left = itertools.cycle(names)
    while any(party.ended.get(name) is None for name in names):
        for name in itertools.islice(left, 2):  # other neighbours each time, on other seats
            if name not in party.ended:
                party.seat(name, RECIPES[name], interrupt=every(steps))
        party.drive()
        preempted = [n for n, e in party.ended.items() if getattr(e, "stop", None) == PREEMPTED]
        for name in preempted:
            assert not (party.folder / name / "adapter").exists()
            del party.ended[name]
    for name in names:
        assert_same_run(alone / name, party.folder / name)


class Killed(BaseException):
    """Stands for a process that is told to end at once."""


def test_closing_frees_every_seat_and_loses_no_run(party: Party, alone: Path) -> None:
    party.seat("dropout", RECIPES["dropout"])
    party.seat("norms", RECIPES["norms"], watch=Raising(5, Killed()))
    with pytest.raises(Killed), closing(party.driver):
        party.drive()
    assert party.ended == {}
    assert not party.driver.is_busy
    assert steps_of(party.folder / "dropout") == [0, 5]  # it was answered before the other
    party.seat("norms", RECIPES["norms"])
    party.seat("dropout", RECIPES["dropout"])
    party.drive()
    for name in ("dropout", "norms"):
        assert_same_run(alone / name, party.folder / name)
