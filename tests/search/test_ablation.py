"""Ablation: which recipes it trains, and what their losses say of each change."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sweeper.errors import StudyChangedError
from sweeper.search.store import StudyStore
from sweeper.search.verifying.ablation import Ablation, read_ablation
from sweeper.search.verifying.variants import changes_between
from sweeper.search.verifying.verification import BASELINE, look_recipes
from sweeper.study import Hyperparameters, StudySpec
from tests.search.fakes import claimed, result, spec_at
from tests.search.test_verdicts import LossOf, look, noisy, planned, verification_of

pytestmark = pytest.mark.usefixtures("stored_in_memory")

BEST = {"block_size": 16, "rank": 4, "learning_rate": 1e-2}
USUAL: dict[str, Any] = {
    "search": {"sampler": "list"},
    "space": {},
    "trials": [BEST],
    "hypotheses": [{"name": "more rank", "change": {"rank": 4}}],
    "budget": {"trials": 3},
    "verify": {"pairs": [5], "ablate": True},
}


def searched(folder: Path, **changes: Any) -> StudySpec:
    """A study whose listed trial is the best, and whose hypothesis is one of its changes."""
    spec = spec_at(folder, **{**USUAL, **changes})
    store = StudyStore(spec, create=True)
    for number in range(spec.budget.trials):
        store.finish(claimed(store), result(val_loss=4.0 - number / 10))
    planned(spec)
    return spec


def made_of(parts: dict[str, float], together: float = 0.0) -> LossOf:
    """Losses that are the sum of what each change does; some more if all are there."""
    names = [*parts]

    def loss(key: str, seed: int) -> float:
        there = {
            "baseline": [],
            "best": names,
            "more rank": ["rank"],
        }.get(key)
        if there is None:
            direction, name = key.split(":")
            there = [name] if direction == "only" else [n for n in names if n != name]
        rng = np.random.default_rng([seed, sum(key.encode())])
        more = together if len(there) == len(names) else 0.0
        return (
            noisy({}, 0.0)(BASELINE, seed)
            + sum(parts[n] for n in there)
            + more
            + float(rng.normal(0, 0.005))
        )

    return loss


def ablated(spec: StudySpec, loss_of: LossOf) -> Ablation:
    look(spec, loss_of)
    assert read_ablation(verification_of(spec)) is None, "only the look is over"
    found = read_ablation(look(spec, loss_of))
    assert found is not None
    return found


def test_each_change_is_taken_back_and_made_alone_on_the_seeds_of_the_first_look(
    tmp_path: Path,
) -> None:
    spec = searched(tmp_path)
    plan = verification_of(spec).plan
    recipes = {v.key: v.hyperparameters | {"seed": None} for v in plan.ablation}
    baseline = spec.baseline_hyperparameters.model_dump() | {"seed": None}
    for name, value in BEST.items():
        assert recipes[f"only:{name}"] == baseline | {name: value}
        assert recipes[f"without:{name}"] == baseline | BEST | {name: baseline[name]}
    assert len(recipes) == 6
    trained = look_recipes(spec, plan, None, plan.ablation_keys)
    assert {key for key, _, _ in trained} == set(recipes) - {"only:rank"}, "a hypothesis has it"
    assert {seed for _, seed, _ in trained} == set(plan.seeds)


def test_effects_are_what_was_put_in_and_sum_without_interactions(tmp_path: Path) -> None:
    parts = {"learning_rate": -0.6, "block_size": -0.1, "rank": 0.05}
    found = ablated(searched(tmp_path), made_of(parts))
    assert found.num_seeds == 5
    assert found.level == 0.95
    assert found.whole.effect is not None
    assert found.whole.effect.mean == pytest.approx(sum(parts.values()), abs=0.02)
    for change in found.changes:
        for shift in (change.without, change.only):
            assert shift.effect is not None
            assert shift.effect.mean == pytest.approx(parts[change.names[0]], abs=0.02)
        assert change.interaction.effect is not None
        assert change.interaction.effect.mean == pytest.approx(0, abs=0.03)
        assert change.without.p_value is not None
        assert change.without.p_value <= 0.05
        assert change.without.p_value >= change.without.effect.p_value  # type: ignore[union-attr]


def test_gain_that_needs_all_changes_is_an_interaction(tmp_path: Path) -> None:
    parts = {"learning_rate": 0.0, "block_size": 0.0, "rank": 0.0}
    found = ablated(searched(tmp_path), made_of(parts, together=-0.5))
    for change in found.changes:
        assert change.interaction.effect is not None
        assert change.interaction.effect.high < -0.3
        assert change.only.effect is not None
        assert abs(change.only.effect.mean) < 0.02


def test_variant_that_diverges_is_counted_and_has_no_effect(tmp_path: Path) -> None:
    usual = made_of({"learning_rate": -0.6, "block_size": -0.1, "rank": 0.05})

    def loss_of(key: str, seed: int) -> float | None:
        if key == "without:block_size":
            return math.inf
        return None if key == "only:learning_rate" else usual(key, seed)

    found = {c.names[0]: c for c in ablated(searched(tmp_path), loss_of).changes}
    assert found["block_size"].without.num_diverged == 5
    assert found["block_size"].without.effect is None
    assert found["block_size"].without.p_value is None
    assert found["learning_rate"].only.effect is None, "its runs failed"
    assert found["learning_rate"].only.num_diverged == 0
    assert found["rank"].without.effect is not None


def test_two_changes_need_no_recipe_but_each_alone(tmp_path: Path) -> None:
    best = {"rank": 4, "learning_rate": 1e-2}
    spec = searched(tmp_path, trials=[best], hypotheses=[], budget={"trials": 2})
    plan = verification_of(spec).plan
    assert {v.key: v.source for v in plan.ablation} == {
        "without:learning_rate": "without:learning_rate",
        "only:learning_rate": "only:learning_rate",
        "without:rank": "only:learning_rate",
        "only:rank": "without:learning_rate",
    }


def test_one_change_and_no_best_need_no_ablation(tmp_path: Path) -> None:
    one = searched(tmp_path / "one", trials=[{"rank": 3}])
    none = searched(tmp_path / "none", trials=[{"seed": 99}], hypotheses=[], budget={"trials": 2})
    for spec in (one, none):
        assert verification_of(spec).plan.ablation == ()
    with pytest.raises(StudyChangedError, match="ablate True -> False"):
        planned(spec_at(tmp_path / "one", **{**USUAL, "trials": [{"rank": 3}],
                                             "verify": {"pairs": [5]}}))  # fmt: skip


def test_ablation_without_a_best_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="no best recipe with top: 0"):
        spec_at(tmp_path, verify={"top": 0, "ablate": True})


def test_what_hangs_on_another_hyperparameter_goes_with_it() -> None:
    def between(baseline: dict[str, Any], best: dict[str, Any]) -> list[tuple[str, ...]]:
        both = (Hyperparameters.model_validate(recipe) for recipe in (baseline, best))
        return changes_between(*both)

    start = {"warmup": 0, "schedule": "constant"}
    assert between(start, {"warmup": 0.1, "warmup_start_factor": 0.5}) == [
        ("schedule",),
        ("warmup", "warmup_start_factor"),
    ]
    assert between(start, {"schedule": "cosine", "floor_factor": 0.1}) == [
        ("schedule", "floor_factor")
    ]
    assert between(start, start | {"floor_factor": 0.1, "seed": 4}) == []
    assert between({"warmup": 5}, {"warmup": 5, "warmup_start_factor": 0.5}) == [
        ("warmup_start_factor",)
    ]


def test_batch_and_accumulation_are_one_change_but_for_a_command() -> None:
    def between(best: dict[str, Any], *, has_splits: bool = False) -> list[tuple[str, ...]]:
        both = (Hyperparameters.model_validate({"batch_size": 8} | more) for more in ({}, best))
        return changes_between(*both, has_splits=has_splits)

    split, larger = ({"batch_size": size, "accumulation": 2} for size in (4, 32))
    assert between(split) == []
    assert between(larger) == [("batch_size", "accumulation")]
    assert between({"accumulation": 2}) == [("accumulation",)]
    for recipe in (split, larger):
        assert between(recipe, has_splits=True) == [("batch_size",), ("accumulation",)]
