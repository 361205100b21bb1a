"""Where the random trials look for the learning rate."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.storages import InMemoryStorage

from sweeper.search.drawing.prior import draw_rate, expected_rate, width_of
from sweeper.search.store import StudyStore
from sweeper.study import identity
from tests.search.fakes import run_faked, spec_at

WIDE: dict[str, Any] = {"learning_rate": {"low": 1e-7, "high": 1.0, "log": True}}


def test_expected_rate_is_ten_times_that_of_full_fine_tuning_and_falls_with_the_width() -> None:
    assert expected_rate(2_000) == pytest.approx(5e-4)
    assert expected_rate(768) == pytest.approx(1.06e-3, rel=0.01)
    assert expected_rate(128) == pytest.approx(4.28e-3, rel=0.01)


def test_width_is_read_beside_the_weights_or_known_by_name(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps({"n_embd": 512}))
    for model, width in {"./base": 512, "gpt2": 768, "builtin:tiny": 128, "a/b": 2_000}.items():
        assert width_of(spec_at(tmp_path, model=model)) == width


def test_draws_lie_about_the_expected_rate_and_in_the_range(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    drawn = [draw_rate(spec_at(tmp_path, space=WIDE), generator) for _ in range(400)]
    logs = np.log([rate for rate in drawn if rate is not None])
    assert np.exp(np.median(logs)) == pytest.approx(expected_rate(128), rel=0.2)
    assert np.std(logs) == pytest.approx(math.log(3), rel=0.1)

    low = spec_at(tmp_path, space={"learning_rate": {"low": 1e-3, "high": 2e-3, "log": True}})
    rates = [draw_rate(low, generator) for _ in range(50)]
    assert all(rate is not None and 1e-3 <= rate <= 2e-3 for rate in rates)
    assert draw_rate(spec_at(tmp_path, space={"learning_rate": [1e-3]}), generator) is None


def test_prior_is_for_the_random_trials_alone(tmp_path: Path) -> None:
    search = {"sampler": "random", "startup_trials": 8, "prior": "lora"}
    spec = spec_at(tmp_path, space=WIDE, search=search, budget={"trials": 40})
    store = StudyStore(spec, create=True, storage=InMemoryStorage())

    rates = [claim.hyperparameters.learning_rate for claim in run_faked(store)[1:]]

    near = [abs(math.log(rate / expected_rate(128))) < 3 * math.log(3) for rate in rates]
    assert all(near[:8])
    assert not all(near[8:])


def test_studies_without_a_prior_are_those_of_earlier_versions(tmp_path: Path) -> None:
    search = identity(spec_at(tmp_path))["search"]
    assert search == {"sampler": "random", "startup_trials": 3}
