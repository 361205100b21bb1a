"""Other seeds: the plan, the studies that carry it out, and what they come to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeper.curves import StopReason
from sweeper.errors import StorageError, StudyChangedError
from sweeper.search import attributes as attrs
from sweeper.search.planning import begin_plan
from sweeper.search.results import load_results
from sweeper.search.runner import run_study
from sweeper.search.store import StudyStore
from sweeper.search.verdicts import Verdict, Verification, load_verification
from sweeper.search.verification import BASELINE, look_recipes, look_study, verification_folder
from sweeper.search.verifying import verify_study
from sweeper.study import StudySpec
from tests.search.conftest import NewStudy
from tests.search.fakes import claimed, result, run_faked, spec_at

LossOf = Callable[[str, int], float | None]  # by arm and seed; None: the run fails
HYPOTHESES = [
    {"name": "smaller blocks", "change": {"block_size": 16}},
    {"name": "more rank", "change": {"rank": 4}, "expect": "val_loss > baseline"},
    {"name": "quicker", "change": {"batch_size": 4}, "expect": "speed > baseline"},
]

# Rates at which `run_faked` makes losses below the baseline's.
GOOD = {"learning_rate": {"low": 9e-3, "high": 1.1e-2}}


def nothing(*_: object) -> None:
    """Sees and says nothing."""


def searched(folder: Path, **changes: Any) -> StudySpec:
    """A study whose search is over."""
    usual = {"hypotheses": HYPOTHESES, "space": GOOD, "verify": {"pairs": [5, 8]}}
    spec = spec_at(folder, **{**usual, **changes})
    run_faked(StudyStore(spec, create=True))
    return spec


def planned(spec: StudySpec) -> Verification:
    begin_plan(load_results(StudyStore(spec, create=False)))
    return verification_of(spec)


def verification_of(spec: StudySpec) -> Verification:
    verification = load_verification(spec)
    assert verification is not None
    return verification


def look(spec: StudySpec, loss_of: LossOf, most: int | None = None) -> Verification:
    """Work through the next look at no cost, or through some of its trials."""
    verification = verification_of(spec)
    assert verification.next_look is not None
    study = look_study(spec, verification.plan, *verification.next_look)
    recipes = look_recipes(spec, verification.plan, *verification.next_look)
    store = StudyStore(study, create=True)
    for name, seed, recipe in recipes[:most]:
        claim = claimed(store)
        assert claim.hyperparameters == recipe
        assert claim.hyperparameters.seed == seed
        loss = loss_of(name, seed)
        if loss is None:
            ended = result(StopReason.ERROR, None, tokens=0)
        elif math.isinf(loss):
            ended = result(StopReason.NON_FINITE, math.inf)
        else:
            ended = result(val_loss=loss)
        store.finish(claim, ended)
    return verification_of(spec)


def noisy(effects: dict[str, float], spread: float = 0.01) -> LossOf:
    """Losses of arms with true effects, the seed's own part the same for all arms."""

    def loss(name: str, seed: int) -> float:
        rng = np.random.default_rng([seed, sum(name.encode())])
        common = np.random.default_rng(seed).normal(0, 0.5)
        return float(4 + common + effects.get(name, 0.0) + rng.normal(0, spread))

    return loss


def verdicts(verification: Verification) -> dict[str, Verdict]:
    return {c.arm.name: c.verdict for c in verification.comparisons}


def test_plan_has_fresh_seeds_and_what_is_about_the_loss(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    results = load_results(StudyStore(spec, create=False))
    plan = begin_plan(results)
    assert [arm.name for arm in plan.arms] == ["smaller blocks", "more rank", "best"]
    assert [arm.expects for arm in plan.arms] == ["<", ">", "<"]
    assert results.best is not None
    assert plan.arms[-1].trial == results.best.number
    assert plan.arms[-1].searched_val_loss == results.best.val_loss
    assert len(set(plan.seeds)) == 8
    assert spec.seed not in plan.seeds
    assert begin_plan(results) == plan, "made once"


def test_a_look_trains_each_seed_by_all_arms_side_by_side(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    plan = planned(spec).plan
    study = look_study(spec, plan, 1, ["more rank"])
    assert study.budget.trials == 6
    assert study.prune.spike is None
    recipes = look_recipes(spec, plan, 1, ["more rank"])
    assert [name for name, _, _ in recipes] == [BASELINE, "more rank"] * 3
    assert [seed for _, seed, _ in recipes] == [s for s in plan.seeds[5:] for _ in range(2)]
    assert study.output_folder.parent == verification_folder(spec)


def test_what_one_look_decides_is_not_trained_again(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    planned(spec)
    first = look(spec, noisy({"smaller blocks": -0.3, "more rank": -0.3, "best": 0.0}))
    assert verdicts(first) == {
        "smaller blocks": Verdict.SUPPORTED,
        "more rank": Verdict.REFUTED,
        "best": Verdict.UNDECIDED,
    }
    assert first.next_look == (1, ("best",))
    second = look(spec, noisy({"best": 0.0}))
    assert verdicts(second)["best"] is Verdict.NOT_DISTINGUISHABLE
    assert second.next_look is None
    assert [len(c.differences) for c in second.comparisons] == [5, 5, 8]
    assert second.tokens == (5 * 4 + 3 * 2) * 4_000
    decided = second.comparisons[0]
    assert decided == first.comparisons[0]
    assert decided.effect is not None
    assert decided.effect.mean == pytest.approx(-0.3, abs=0.05)
    assert decided.p_value is not None
    assert decided.p_value <= 0.05
    assert second.noise is not None
    assert second.noise.num_pairs == 8
    assert second.noise.spread > 0.1, "the seeds' own part, which pairs take out of the difference"


def test_a_look_that_is_not_over_decides_nothing(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    planned(spec)
    half = look(spec, noisy({"smaller blocks": -0.3}), most=19)
    assert set(verdicts(half).values()) == {Verdict.UNDECIDED}
    assert half.next_look == (0, ("smaller blocks", "more rank", "best"))
    assert half.tokens == 19 * 4_000


def test_runs_that_diverge_are_counted_by_their_side(tmp_path: Path) -> None:
    spec = searched(tmp_path, verify={"pairs": [8]}, hypotheses=HYPOTHESES[:1])
    planned(spec)

    def loss_of(name: str, seed: int) -> float:
        return math.inf if name == "smaller blocks" else noisy({})(name, seed)

    found = look(spec, loss_of).comparisons[0]
    assert found.num_diverged == 8
    assert found.effect is None
    assert found.verdict is Verdict.REFUTED
    assert found.p_value == pytest.approx(2 * 2 * 0.5**8), "two signs, two comparisons"


def test_seed_without_a_result_is_no_pair(tmp_path: Path) -> None:
    spec = searched(tmp_path, verify={"pairs": [5]})
    seeds = planned(spec).plan.seeds

    def loss_of(name: str, seed: int) -> float | None:
        is_lost = name == "more rank" and seed == seeds[2]
        return None if is_lost else noisy({"more rank": -0.5})(name, seed)

    found = {c.arm.name: c for c in look(spec, loss_of).comparisons}
    assert len(found["more rank"].differences) == 4
    assert found["more rank"].verdict is Verdict.NOT_DISTINGUISHABLE
    assert found["more rank"].effect is None


def test_plan_is_not_changed_once_losses_are_known(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    planned(spec)
    with pytest.raises(StudyChangedError, match=r"pairs \[5, 8\] -> \[5, 9\]"):
        planned(spec_at(tmp_path, hypotheses=HYPOTHESES, space=GOOD, verify={"pairs": [5, 9]}))
    path = verification_folder(spec) / "plan.json"
    path.write_text(json.dumps({"pairs": [5]}))
    with pytest.raises(StorageError, match="damaged"):
        load_verification(spec)


def test_baseline_that_is_best_is_not_compared_with_itself(tmp_path: Path) -> None:
    spec = spec_at(tmp_path, verify={"pairs": 5}, budget={"trials": 2})
    store = StudyStore(spec, create=True)
    for loss in (4.0, 5.0):
        store.finish(claimed(store), result(val_loss=loss))
    assert planned(spec).comparisons == ()
    assert verification_of(spec).next_look is None


def test_study_is_verified_for_real_and_only_once(new_study: NewStudy) -> None:
    changes: dict[str, Any] = {
        "budget": {"trials": 2, "tokens_per_trial": 6_000},
        "hypotheses": [{"name": "no rate", "change": {"learning_rate": 1e-8}}],
        "baseline": {"hyperparameters": {"learning_rate": 3e-2, "block_size": 16, "rank": 2,
                                         "batch_size": 4, "precision": "fp32"}},
        "verify": {"pairs": [5], "best": False},
    }  # fmt: skip
    spec = new_study(**changes)
    run_study(spec, observe=nothing, tell=nothing)
    outcome = verify_study(spec, observe=nothing, tell=nothing)
    assert outcome is not None
    assert outcome.signal is None
    found = verification_of(spec)
    assert verdicts(found) == {"no rate": Verdict.REFUTED}, found.comparisons
    assert len({*found.baseline_losses}) == 5
    assert verify_study(spec, observe=nothing, tell=nothing) is None
    assert verification_of(spec) == found


def test_budget_holds_for_search_and_verification_together(tmp_path: Path) -> None:
    """Tokens that are spent leave the comparisons undecided; time that is spent says so."""
    spec = searched(tmp_path, budget={"trials": 6, "tokens": 6 * 4_000})
    assert verify_study(spec, observe=nothing, tell=nothing) is None
    assert verification_of(spec).tokens == 0
    store = StudyStore(spec, create=False)
    store.study.set_user_attr(attrs.SECONDS_SPENT, 60.0)
    short = spec_at(tmp_path, hypotheses=HYPOTHESES, space=GOOD, verify={"pairs": [5, 8]},
                    budget={"trials": 6, "wall_clock": "1min"})  # fmt: skip
    outcome = verify_study(short, observe=nothing, tell=nothing)
    assert outcome is not None
    assert outcome.wall_clock_spent
