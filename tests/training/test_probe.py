"""What a process trains in a second, measured while others do the same."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from sweeper.training.packs import new_pack
from sweeper.training.probe import tokens_per_s
from sweeper.training.workbench import Workbench
from tests import tiny


def test_partners_of_a_pack_that_does_not_fit_need_not_wait(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker without memory still comes to each meeting."""
    pack = new_pack("packed", bench, 2)
    monkeypatch.setattr(pack, "accumulate", Mock(side_effect=MemoryError))
    met: list[str] = []
    recipes = [tiny.recipe(rank=rank) for rank in (2, 3)]
    assert tokens_per_s(pack, bench.base, recipes, met.append) == 0
    assert met == ["2-0", "2-1"]
