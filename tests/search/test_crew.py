"""Who trains a study: assumed, measured, and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import WorkerError
from sweeper.search.workers import crew as crew_module
from sweeper.search.workers import probing
from sweeper.search.workers.crew import Crew, assumed_crew, choose_crew, known_crew
from sweeper.search.workers.nursery import Nursery
from sweeper.search.workers.pool import PoolCrash, close_pool
from sweeper.search.workers.probing import (
    Measurement,
    MeasuringStopped,
    best_of,
    measure_ways,
    probed_recipes,
)
from sweeper.search.workers.trainers import new_trainer
from sweeper.study import StudySpec
from sweeper.training.meeting import Meeting, MeetingCancelled
from sweeper.training.probe import probe
from sweeper.training.setup import PrecisionChoice, Setup
from tests.search.conftest import NewStudy
from tests.search.fakes import spec_at

FP32 = PrecisionChoice("fp32", "measured")
LOKY = {"backend": "loky", "count": "auto", "threads": "auto", "slots": "auto"}


def nobody(*_: object) -> None:
    """Hears nothing."""


class FakeMachine:
    """A machine whose speed is made up, by workers and slots."""

    def __init__(self, speeds: dict[tuple[int, int], float]) -> None:
        self._speeds = speeds
        self.deadly: tuple[int, ...] = ()  # numbers of workers of which one dies
        self.at_work: Callable[[], None] = lambda: None
        self.asked: list[tuple[int, int, tuple[int, ...]]] = []

    def run(self, task: Any, orders: list[Any], threads: int) -> list[Any]:
        count, order = len(orders), orders[0]
        assert [order.nursery.address for order in orders] == [*map(str, range(count))]
        self.asked.append((count, threads, order.slots))
        self.at_work()
        if count in self.deadly:
            raise PoolCrash("a worker was killed")
        share = tuple(self._speeds.get((count, n), 0.0) / count for n in order.slots)
        return [(order.setup.precision or FP32, share)] * count


def nursery_of_worker(_: StudySpec, __: int, worker: int) -> Nursery:
    """Nobody's; it says whose it would have been."""
    return Nursery(address=str(worker))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    def of(cores: int, speeds: dict[tuple[int, int], float]) -> FakeMachine:
        fake = FakeMachine(speeds)
        monkeypatch.setattr(crew_module, "num_cores", lambda: cores)
        monkeypatch.setattr(probing, "run_in_workers", fake.run)
        monkeypatch.setattr(probing, "shared_nursery", nursery_of_worker)
        return fake

    return of


def study(folder: Path, trials: int = 40, sampler: str = "random", **workers: Any) -> StudySpec:
    return spec_at(
        folder,
        budget={"trials": trials, "tokens_per_trial": 100_000},
        workers={**LOKY, **workers},
        search={"sampler": sampler, "startup_trials": 3},
    )


def chosen(folder: Path, machine: FakeMachine, **changes: Any) -> Crew:
    spec = study(folder, **changes)
    spec.output_folder.mkdir(parents=True, exist_ok=True)
    return choose_crew(spec, nobody, folder / "stop")


def test_fastest_way_to_share_the_machine_is_taken(tmp_path: Path, machine: Any) -> None:
    fake = machine(8, {(8, 1): 80.0, (4, 1): 100.0, (2, 1): 90.0, (1, 1): 500.0})
    crew = chosen(tmp_path, fake)
    assert (crew.count, crew.threads, crew.slots) == (4, 2, 1)
    assert crew.precision == FP32
    assert [m.tokens_per_s for m in crew.measured if m.slots == 1] == [80.0, 100.0, 90.0]
    assert [count for count, _, _ in fake.asked] == [8, 4, 2], "slower than before ends it"


@pytest.mark.parametrize(("packed", "slots"), [(105.0, 1), (115.0, 4)])
def test_slots_must_gain_enough(tmp_path: Path, machine: Any, packed: float, slots: int) -> None:
    crew = chosen(tmp_path, machine(2, {(2, 1): 100.0, (2, 4): packed, (1, 1): 50.0}))
    assert (crew.count, crew.slots) == (2, slots)


def test_sampler_that_learns_is_left_results_to_learn_from(tmp_path: Path, machine: Any) -> None:
    for sampler, trials, tried in [
        ("tpe", 24, (1,)),
        ("tpe", 40, (1, 4)),
        ("random", 24, (1, 4, 8)),
        ("random", 12, (1, 4)),
    ]:
        fake = machine(2, {(2, 1): 1.0})
        measure_ways(study(tmp_path, trials, sampler), [(2, 1)], nobody, tmp_path / "stop")
        assert fake.asked == [(2, 1, tried)]


def test_fewer_workers_are_tried_where_one_dies(tmp_path: Path, machine: Any) -> None:
    fake = machine(4, {(2, 1): 5.0, (1, 1): 1.0})
    fake.deadly = (4,)
    assert chosen(tmp_path, fake).count == 2


def test_workers_that_always_die_are_named(tmp_path: Path, machine: Any) -> None:
    fake = machine(4, {})
    fake.deadly = (4, 2, 1)
    with pytest.raises(WorkerError, match=r"a worker was killed.*Next: a smaller batch_size"):
        chosen(tmp_path, fake)


@pytest.mark.parametrize("deadly", [(), (2,)])
def test_stop_ends_the_measuring_and_keeps_nothing(
    tmp_path: Path, machine: Any, deadly: tuple[int, ...]
) -> None:
    fake = machine(4, {(4, 1): 1.0, (2, 1): 5.0})
    fake.deadly = deadly
    fake.at_work = lambda: len(fake.asked) == 2 and (tmp_path / "stop").touch()
    with pytest.raises(MeasuringStopped):
        chosen(tmp_path, fake)
    assert [count for count, _, _ in fake.asked] == [4, 2]
    assert not (study(tmp_path).output_folder / "crew.json").exists()


def test_what_the_study_says_is_not_measured_otherwise(tmp_path: Path, machine: Any) -> None:
    fake = machine(8, {(2, 3): 10.0})
    crew = chosen(tmp_path, fake, count=2, threads=1, slots=3)
    assert (crew.count, crew.threads, crew.slots) == (2, 1, 3)
    assert fake.asked == [(2, 1, (3,))]


def test_choice_is_kept_while_its_situation_lasts(tmp_path: Path, machine: Any) -> None:
    fake = machine(2, {(2, 1): 2.0, (2, 4): 2.0, (1, 1): 1.0})
    first = chosen(tmp_path, fake)
    num_asked = len(fake.asked)
    assert chosen(tmp_path, fake) == first
    assert known_crew(study(tmp_path)) == first
    assert len(fake.asked) == num_asked
    assert chosen(tmp_path, fake, slots=4) != first
    assert len(fake.asked) > num_asked
    other = machine(4, {(4, 1): 4.0, (2, 1): 1.0})
    assert chosen(tmp_path, other).count == 4


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"situation": 1}', b"\xff"])
def test_damaged_choice_is_made_again(tmp_path: Path, machine: Any, content: bytes) -> None:
    fake = machine(2, {(2, 1): 2.0})
    path = study(tmp_path).output_folder / "crew.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert chosen(tmp_path, fake).count == 2
    assert json.loads(path.read_bytes())["crew"]["count"] == 2


def test_small_and_inline_studies_are_not_measured(tmp_path: Path, machine: Any) -> None:
    fake = machine(2, {})
    small = study(tmp_path, trials=9, sampler="tpe")
    inline = study(tmp_path, backend="inline")
    assert choose_crew(small, nobody, tmp_path / "stop") == assumed_crew(small) == Crew(2, 1)
    assert choose_crew(inline, nobody, tmp_path / "stop") == assumed_crew(inline) == Crew(1, 2)
    assert fake.asked == []


@pytest.mark.parametrize(("trials", "slots"), [(9, 4), (5, 2), (2, 1), (1, 1)])
def test_slots_are_assumed_where_no_result_is_waited_for(
    tmp_path: Path, machine: Any, trials: int, slots: int
) -> None:
    machine(2, {})
    assert assumed_crew(study(tmp_path, trials)).slots == slots
    assert assumed_crew(study(tmp_path, trials, slots=3)).slots == 3
    assert assumed_crew(study(tmp_path, trials, sampler="tpe")).slots == 1
    assert assumed_crew(study(tmp_path, trials).model_copy(update={"engine": "peft"})).slots == 1


def test_pack_that_does_not_fit_the_memory_is_not_taken() -> None:
    found: Sequence[Measurement] = [Measurement(1, 2, 1, 10.0), Measurement(1, 2, 4, 0.0)]
    assert best_of(found) == found[0]


def test_slots_are_not_measured_for_an_engine_without_them(new_study: NewStudy) -> None:
    spec = new_study(engine="peft")
    new_trainer(spec).prepare(nobody)
    _, (alone, four) = probe(spec, Setup(1), (1, 4), [spec.baseline_hyperparameters], nobody)
    assert alone > 0
    assert four == 0


def test_meeting_ends_when_somebody_says_stop(tmp_path: Path) -> None:
    meeting = Meeting(tmp_path, 2, tmp_path / "stop")
    meeting.stop_file.touch()
    with pytest.raises(MeetingCancelled):
        meeting.wait("1-0")


def test_baseline_and_the_smallest_batch_are_measured(tmp_path: Path) -> None:
    spec = study(tmp_path)
    baseline, small = probed_recipes(spec)
    assert baseline == spec.baseline_hyperparameters
    assert (small.block_size, small.batch_size) == (16, baseline.batch_size)
    assert probed_recipes(spec_at(tmp_path, space={"rank": [2, 4]})) == (baseline,)


def test_two_processes_really_measure_at_the_same_time(new_study: NewStudy, tmp_path: Path) -> None:
    spec = new_study(workers={**LOKY, "count": 2, "threads": 1}, budget={"trials": 12})
    new_trainer(spec).prepare(nobody)
    try:
        precision, measured = measure_ways(spec, [(2, 1)], nobody, tmp_path / "stop")
    finally:
        close_pool()
    assert precision is not None
    assert [(m.count, m.threads) for m in measured] == [(2, 1)] * len(measured)
    assert all(m.tokens_per_s > 0 for m in measured)
