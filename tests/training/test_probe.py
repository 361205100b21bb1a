"""What a process trains in a second, measured while others do the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.study import Hyperparameters
from sweeper.training import probe
from sweeper.training.engine import Pack
from sweeper.training.probe import speeds_of
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.search.fakes import spec_at

RECIPES = [tiny.recipe(rank=2), tiny.recipe(rank=4)]


class Timed:
    """Stands for the timing: seats that share passes are faster, each recipe a bit slower."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.met: list[str] = []
        self.fails = False
        monkeypatch.setattr(probe, "seconds_per_token", self)

    def __call__(self, pack: Pack, base: Any, recipe: Hyperparameters, *_: Any, **__: Any) -> float:
        if self.fails:
            raise MemoryError
        return recipe.rank / len(pack.seats)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Timed:
    return Timed(monkeypatch)


def test_speed_is_that_of_equal_tokens_in_each_recipe(
    bench: Workbench, tmp_path: Path, timed: Timed
) -> None:
    speeds = speeds_of(spec_at(tmp_path), bench, (1, 4), RECIPES, timed.met.append)
    assert speeds == (2 / (2 + 4), 4 * 2 / (2 + 4))
    assert timed.met == ["1-0", "1-1", "4-0", "4-1"]


def test_recipe_that_fills_a_pass_alone_is_measured_once(
    bench: Workbench, tmp_path: Path, timed: Timed
) -> None:
    large = tiny.recipe(batch_size=64, block_size=16, rank=1)
    speeds = speeds_of(spec_at(tmp_path), bench, (1, 4), [large, RECIPES[0]], timed.met.append)
    assert speeds == (2 / (1 + 2), 2 / (1 + 2 / 4))
    assert timed.met == ["1-0", "1-1", "4-1"]


def test_recipe_with_dropout_shares_passes_by_its_micro_batches(
    bench: Workbench, tmp_path: Path, timed: Timed
) -> None:
    """64 micro-batches of 64 tokens: each leaves room for the neighbours' own."""
    drawing = tiny.recipe(accumulation=64, dropout=0.1)
    speeds_of(spec_at(tmp_path), bench, (1, 4), [drawing], timed.met.append)
    assert timed.met == ["1-0", "4-0"]


def test_partners_of_a_pack_that_does_not_fit_need_not_wait(
    bench: Workbench, tmp_path: Path, timed: Timed
) -> None:
    """One worker without memory still comes to each meeting."""
    timed.fails = True
    assert speeds_of(spec_at(tmp_path), bench, (2,), RECIPES, timed.met.append) == (0,)
    assert timed.met == ["2-0", "2-1"]


def test_engine_without_slots_trains_nothing_in_them(
    bench: Workbench, tmp_path: Path, timed: Timed
) -> None:
    spec = spec_at(tmp_path, engine="peft")
    assert speeds_of(spec, bench, (1, 4), RECIPES, timed.met.append) == (1 / 3, 0)
    assert timed.met == ["1-0", "1-1"]
