"""Times of steps and evaluations, by a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sweeper.study import Hyperparameters
from sweeper.training import pace, timing
from sweeper.training.packs import new_pack
from sweeper.training.setup import Setup
from sweeper.training.timing import (
    median_seconds,
    random_batch,
    seconds_per_evaluation,
    seconds_per_token,
)
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.search.fakes import spec_at


class Clock:
    """Shows the time that it was told has passed."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s

    def passing(self, *seconds: float) -> Callable[[], None]:
        """Work that takes so long, call by call; the last of them over and over."""
        left = [*seconds]

        def work() -> None:
            self.now_s += left.pop(0) if len(left) > 1 else left[0]

        return work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_the_first_call_does_not_count(bench: Workbench, clock: Clock) -> None:
    assert median_seconds(clock.passing(50, 1, 9, 2), bench.device) == pytest.approx(2)


def test_short_work_is_repeated_for_as_long_as_asked(bench: Workbench, clock: Clock) -> None:
    began = clock.now_s
    assert median_seconds(clock.passing(0.1), bench.device, least_s=5) == pytest.approx(0.1)
    assert clock.now_s - began == pytest.approx(5, abs=0.11)


@pytest.mark.parametrize("engine", ["packed", "peft"])
def test_seats_share_a_step_and_are_free_again(
    bench: Workbench, clock: Clock, monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    """A step that takes a second, of as many blocks of 16 as are allowed in each seat."""
    pack = new_pack(engine, bench, 3)
    num_seats = len(pack.seats)
    recipe = tiny.recipe(batch_size=2, accumulation=3)
    apply, evaluate = pack.apply, pack.evaluate

    def slowly(work: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*args: Any) -> Any:
            clock.now_s += 1
            return work(*args)

        return slow

    monkeypatch.setattr(pack, "apply", slowly(apply))
    monkeypatch.setattr(pack, "evaluate", slowly(evaluate))
    for most_tokens, tokens in ((10**6, 96), (32, 32), (1, 16)):
        found = seconds_per_token(pack, bench.base, recipe, bench.device, most_tokens=most_tokens)
        assert found == pytest.approx(1 / (tokens * num_seats))
    evaluation_s = seconds_per_evaluation(pack, bench.base, recipe, bench.validation, bench.device)
    assert evaluation_s == pytest.approx(1 / num_seats)
    for seat in pack.seats:
        seat.start(recipe, seed=1)
        seat.finish()


def test_batch_has_the_shape_of_the_recipe(bench: Workbench) -> None:
    batch = random_batch(bench.base, tiny.recipe(block_size=8, batch_size=2, accumulation=5))
    assert batch.blocks.inputs.shape == (10, 8)
    assert batch.micro_batch == 2
    assert batch.blocks.inputs.max() < tiny.VOCABULARY


def test_speeds_are_compared_turn_by_turn(
    bench: Workbench, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slows down from turn to turn meets all; each recipe is once the first."""
    seen: list[int] = []

    def measured(pack: Any, base: Any, recipe: Hyperparameters, *_: Any, **__: Any) -> float:
        seen.append(recipe.rank)
        return recipe.rank * (1 + (len(seen) - 1) // 3)

    monkeypatch.setattr(pace, "set_up", lambda *_, **__: bench)
    monkeypatch.setattr(pace, "seconds_per_token", measured)
    recipes = [tiny.recipe(rank=rank) for rank in (2, 4, 1)]
    spec, asked = spec_at(tmp_path), iter([True, True, True, False])
    turns = pace.speeds_in_turns(spec, Setup(1), recipes, num_turns=9, go_on=lambda: next(asked))
    assert turns == [[1 / 2, 1 / 4, 1], [1 / 4, 1 / 8, 1 / 2], [1 / 6, 1 / 12, 1 / 3]]
    assert [seen[0], seen[3], seen[6]] == [2, 4, 1]
