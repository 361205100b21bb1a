"""The marks that a loss is held against."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sweeper.diagnosis.floors import (
    FLOORS_FILE,
    fresh_band,
    is_at_unigrams,
    read_floors,
)

from .fakes import FLOORS


def test_fresh_weights_start_a_little_above_the_blind_guess() -> None:
    low, high = fresh_band(50257)
    assert (low, high) == pytest.approx((10.675, 11.128), abs=1e-3)  # 768 * 0.02^2 / 2 = 0.154
    assert fresh_band(1024, 128, 0.02)[1] == pytest.approx(math.log(1024) + 0.0256 + 0.15)
    assert fresh_band(1024, 4096, 1.0)[1] == pytest.approx(math.log(1024) + 2.15)


@pytest.mark.parametrize(
    ("start", "blind"), [(6.95, True), (6.79, True), (6.77, False), (7.12, False), (5.45, False)]
)
def test_only_a_start_where_fresh_weights_start_is_blind(start: float, blind: bool) -> None:
    assert FLOORS.is_blind(start) is blind


@pytest.mark.parametrize(
    ("loss", "noise", "at"),
    [
        (5.58, 0.0, True),
        (5.54, 0.0, True),
        (5.52, 0.0, False),
        (5.52, 0.03, True),
        (5.47, 9.0, False),
    ],
)
def test_a_loss_within_its_noise_of_the_unigrams_is_at_them(
    loss: float, noise: float, at: bool
) -> None:
    assert is_at_unigrams(loss, 5.58, noise) is at


def test_marks_are_read_as_they_were_written_and_damaged_ones_not_at_all(tmp_path: Path) -> None:
    assert read_floors(tmp_path) is None
    path = tmp_path / FLOORS_FILE
    path.write_text(FLOORS.model_dump_json())
    assert read_floors(tmp_path) == FLOORS
    path.write_text(path.read_text()[:-9])
    assert read_floors(tmp_path) is None
