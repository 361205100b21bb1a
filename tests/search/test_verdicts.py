"""Other seeds: the plan, the studies that carry it out, and what they come to."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sweeper.curves import StopReason
from sweeper.errors import StorageError, StudyChangedError
from sweeper.search import attributes as attrs
from sweeper.search.progress import Snapshot
from sweeper.search.results import load_results
from sweeper.search.runner import RunOutcome, run_study
from sweeper.search.store import StudyStore
from sweeper.search.verifying.carrying import verify_study
from sweeper.search.verifying.planning import begin_plan
from sweeper.search.verifying.verdicts import Verdict, Verification, load_verification
from sweeper.search.verifying.verification import (
    BASELINE,
    Plan,
    look_recipes,
    look_study,
    verification_folder,
)
from sweeper.study import StudySpec
from sweeper.training.manifest import read_manifest
from tests.search.conftest import NewStudy
from tests.search.fakes import claimed, plain, result, run_faked, spec_at

pytestmark = pytest.mark.usefixtures("stored_in_memory")

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


def plan_of(spec: StudySpec) -> Plan:
    """As begun before, or begun now."""
    assert spec.verify is not None
    store = StudyStore(spec, create=False)
    return begin_plan(store, load_results(store), spec.verify)


def planned(spec: StudySpec) -> Verification:
    plan_of(spec)
    return verification_of(spec)


def verification_of(spec: StudySpec) -> Verification:
    verification = load_verification(spec)
    assert verification is not None
    return verification


def measure(spec: StudySpec, quicker: float = 1250.0, turns: int = 15) -> None:
    """Make up speeds of the one hypothesis about them, with a drift that both recipes meet."""
    rng = np.random.default_rng(1)
    drift = np.linspace(1, 0.5, turns)
    of = {
        BASELINE: (1000 * drift * rng.normal(1, 0.01, turns)).tolist(),
        "hypothesis:quicker": (quicker * drift * rng.normal(1, 0.01, turns)).tolist(),
    }
    text = json.dumps({"of": of, "wall_clock_s": 7.0})
    (verification_folder(spec) / "speeds.json").write_text(text)


def look(spec: StudySpec, loss_of: LossOf, most: int | None = None) -> Verification:
    """Work through the next look at no cost, or through some of its trials."""
    verification = verification_of(spec)
    assert verification.next_look is not None
    number, keys = verification.next_look.number, verification.next_look.keys
    study = look_study(spec, verification.plan, number, keys)
    recipes = look_recipes(spec, verification.plan, number, keys)
    store = StudyStore(study, create=True)
    for key, seed, recipe in recipes[verification.next_look.num_ended : most]:
        claim = claimed(store)
        assert claim.hyperparameters == recipe
        assert claim.hyperparameters.seed == seed
        loss = loss_of(key.removeprefix("hypothesis:"), seed)
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
    return {c.arm.hypothesis or "best": c.verdict for c in verification.comparisons}


def test_plan_has_fresh_seeds_and_all_that_was_claimed(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    results = load_results(StudyStore(spec, create=False))
    plan = plan_of(spec)
    assert [arm.hypothesis for arm in plan.arms] == ["smaller blocks", "more rank", "quicker", None]
    assert [arm.expects for arm in plan.arms] == ["<", ">", ">", "<"]
    assert [arm.metric for arm in plan.arms] == ["val_loss", "val_loss", "speed", "val_loss"]
    assert results.best is not None
    assert plan.arms[-1].trial == results.best.number
    assert len(set(plan.seeds)) == 8
    assert spec.seed not in plan.seeds
    assert plan_of(spec) == plan, "made once"


def test_a_look_trains_each_seed_by_all_arms_side_by_side(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    plan = planned(spec).plan
    study = look_study(spec, plan, 1, ["hypothesis:more rank"])
    assert study.budget.trials == 6
    assert study.prune.spike is None
    recipes = look_recipes(spec, plan, 1, ["hypothesis:more rank"])
    assert [name for name, _, _ in recipes] == [BASELINE, "hypothesis:more rank"] * 3
    assert [seed for _, seed, _ in recipes] == [s for s in plan.seeds[5:] for _ in range(2)]
    assert study.output_folder.parent == verification_folder(spec)


def test_what_one_look_decides_is_not_trained_again(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    planned(spec)
    first = look(spec, noisy({"smaller blocks": -0.3, "more rank": -0.3, "best": 0.0}))
    assert verdicts(first) == {
        "smaller blocks": Verdict.SUPPORTED,
        "more rank": Verdict.REFUTED,
        "quicker": Verdict.UNDECIDED,
        "best": Verdict.UNDECIDED,
    }
    assert first.next_look is not None
    assert (first.next_look.number, first.next_look.keys) == (1, ("best",))
    second = look(spec, noisy({"best": 0.0}))
    assert verdicts(second)["best"] is Verdict.NOT_DISTINGUISHABLE
    assert second.next_look is None
    assert [len(c.pairs) for c in second.comparisons] == [5, 5, 0, 8]
    assert second.tokens == (5 * 4 + 3 * 2) * 4_000
    decided = second.comparisons[0]
    assert decided == first.comparisons[0]
    assert decided.effect is not None
    assert decided.effect.mean == pytest.approx(-0.3, abs=0.05)
    assert decided.p_value is not None
    assert decided.p_value <= 0.05
    assert second.noise is not None
    assert second.noise.num_seeds == 8
    assert second.noise.spread > 0.1, "the seeds' own part, which pairs take out of the difference"


def test_speeds_are_judged_by_their_turns_and_need_no_seeds(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    planned(spec)
    assert verdicts(verification_of(spec))["quicker"] is Verdict.UNDECIDED
    measure(spec)
    (found,) = [c for c in verification_of(spec).comparisons if c.arm.metric == "speed"]
    assert found.verdict is Verdict.SUPPORTED
    assert found.effect is not None
    assert found.effect.num_pairs == 15
    assert math.exp(found.effect.mean) == pytest.approx(1.25, rel=0.02)
    assert found.effect.level == 0.95, "looked at once"
    measure(spec, quicker=800.0)
    assert verdicts(verification_of(spec))["quicker"] is Verdict.REFUTED


def test_equal_speeds_are_not_told_apart_once_all_else_is_decided(tmp_path: Path) -> None:
    spec = searched(tmp_path, verify={"pairs": [5], "top": 0})
    planned(spec)
    measure(spec, quicker=1000.0)
    assert verdicts(verification_of(spec))["quicker"] is Verdict.UNDECIDED
    found = look(spec, noisy({"smaller blocks": -0.3, "more rank": -0.3}))
    assert verdicts(found)["quicker"] is Verdict.NOT_DISTINGUISHABLE
    assert found.next_look is None


def test_speeds_alone_train_no_seeds(tmp_path: Path) -> None:
    spec = searched(tmp_path, hypotheses=HYPOTHESES[2:], verify={"pairs": [5], "top": 0})
    assert planned(spec).looks == ()
    measure(spec, quicker=1000.0)
    found = verification_of(spec)
    assert verdicts(found) == {"quicker": Verdict.NOT_DISTINGUISHABLE}
    (verification_folder(spec) / "speeds.json").write_text("{")
    with pytest.raises(StorageError, match="Remove it to measure again"):
        load_verification(spec)


def test_a_look_that_is_not_over_decides_nothing(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    planned(spec)
    half = look(spec, noisy({"smaller blocks": -0.3}), most=19)
    assert set(verdicts(half).values()) == {Verdict.UNDECIDED}
    assert half.next_look is not None
    assert (half.next_look.number, half.next_look.num_ended) == (0, 19)
    assert half.next_look.keys == ("hypothesis:smaller blocks", "hypothesis:more rank", "best")
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

    found = {c.arm.hypothesis: c for c in look(spec, loss_of).comparisons}
    assert len(found["more rank"].pairs) == 4
    assert found["more rank"].verdict is Verdict.NOT_DISTINGUISHABLE
    assert found["more rank"].effect is None
    assert found["more rank"].p_value is None, "nothing was tested"
    assert found["smaller blocks"].p_value is not None


def test_a_difference_too_small_to_matter_is_none(tmp_path: Path) -> None:
    losses = noisy({"smaller blocks": -0.02, "more rank": 0.3, "best": -0.5}, spread=0.001)
    found = {}
    for smallest in (0.0, 0.1):
        verify = {"pairs": [5], "smallest": smallest}
        spec = searched(tmp_path / f"{smallest}", verify=verify)
        assert plan_of(spec).smallest == smallest
        found[smallest] = verdicts(look(spec, losses))
    assert found[0.0]["smaller blocks"] is Verdict.SUPPORTED
    assert found[0.1]["smaller blocks"] is Verdict.NOT_DISTINGUISHABLE
    assert found[0.0]["more rank"] is found[0.1]["more rank"] is Verdict.SUPPORTED
    with pytest.raises(StudyChangedError, match=r"smallest 0\.1 -> 0\.2"):
        plan_of(
            spec_at(
                tmp_path / "0.1",
                hypotheses=HYPOTHESES,
                space=GOOD,
                verify={"pairs": [5], "smallest": 0.2},
            )
        )


def test_plan_is_not_changed_once_losses_are_known(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    planned(spec)
    with pytest.raises(StudyChangedError, match=r"pairs \[5, 8\] -> \[5, 9\]"):
        planned(spec_at(tmp_path, hypotheses=HYPOTHESES, space=GOOD, verify={"pairs": [5, 9]}))
    path = verification_folder(spec) / "plan.json"
    path.write_text(json.dumps({"pairs": [5]}))
    with pytest.raises(StorageError, match="damaged"):
        load_verification(spec)


def begun_again(spec: StudySpec) -> Plan:
    """What a person does who wants another plan: the folder goes."""
    shutil.rmtree(verification_folder(spec))
    return plan_of(spec)


def test_plan_that_is_begun_again_meets_no_seed_of_an_earlier_one(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    first = plan_of(spec)
    other = spec_at(tmp_path, hypotheses=HYPOTHESES, space=GOOD, verify={"pairs": [6, 9]})
    second = begun_again(other)
    third = begun_again(spec)
    assert [plan.num_before for plan in (first, second, third)] == [0, 1, 2]
    seeds = [*first.seeds, *second.seeds, *third.seeds]
    assert len(set(seeds)) == 8 + 9 + 8
    assert spec.seed not in seeds
    assert plan_of(spec) == third, "made once"


def test_plan_of_a_version_that_kept_no_seeds_is_not_met_again(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    first = plan_of(spec)
    StudyStore(spec, create=False).study.set_user_attr(attrs.PLANNED_SEEDS, [])
    assert plan_of(spec) == first
    assert not set(begun_again(spec).seeds) & set(first.seeds)


def test_plan_meets_no_seed_of_the_study_that_led_this_one(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"space": GOOD, "verify": {"pairs": 5}}
    earlier = spec_at(tmp_path, name="earlier", **changes)
    (tmp_path / "earlier.yaml").write_text(yaml.safe_dump(plain(name="earlier", **changes)))
    (tmp_path / "qa.md").write_text("Q: What?\nA: That.\n")
    run_faked(StudyStore(earlier, create=True))
    used = {earlier.seed, *plan_of(earlier).seeds}
    spec = searched(
        tmp_path,
        seed=earlier.seed - 1,
        search={"sampler": "tpe", "warm_start": "earlier.yaml"},
        **changes,
    )
    assert not used & set(plan_of(spec).seeds)


def test_hypothesis_may_be_called_as_it_likes(tmp_path: Path) -> None:
    """Neither the baseline's nor the best recipe's losses become its own."""
    names = ["baseline", "best", "hypothesis:best"]
    hypotheses = [
        {"name": name, "change": {"rank": rank}}
        for name, rank in zip(names, (1, 4, 8), strict=True)
    ]
    spec = searched(tmp_path, hypotheses=hypotheses, verify={"pairs": [5]})
    arms = planned(spec).plan.arms
    assert len({BASELINE, *(arm.key for arm in arms)}) == 5
    study = look_study(spec, verification_of(spec).plan, 0, [arm.key for arm in arms])
    store = StudyStore(study, create=True)
    for _ in range(5 * 5):
        claim = claimed(store)
        store.finish(claim, result(val_loss=float(claim.hyperparameters.rank)))
    found = {c.arm.hypothesis: c.effect for c in verification_of(spec).comparisons}
    base_rank = spec.baseline_hyperparameters.rank
    for name, rank in zip(names, (1, 4, 8), strict=True):
        effect = found[name]
        assert effect is not None
        assert effect.mean == rank - base_rank


def test_a_later_look_may_take_back_what_an_earlier_one_hinted(tmp_path: Path) -> None:
    """The p-value and the interval are of the same seeds, so they never contradict each other."""
    spec = searched(tmp_path, hypotheses=HYPOTHESES[:1], verify={"pairs": [5, 8], "top": 0})
    seeds = planned(spec).plan.seeds
    effects = dict(zip(seeds, (-0.3, -0.2, -0.5, -0.25, 0.1, 0.3, 0.2, 0.1), strict=True))

    def loss_of(name: str, seed: int) -> float:
        return 4.0 + (effects[seed] if name != BASELINE else 0.0)

    first = look(spec, loss_of).comparisons[0]
    second = look(spec, loss_of).comparisons[0]
    assert first.p_value is not None
    assert second.p_value is not None
    assert first.verdict is Verdict.UNDECIDED
    assert second.p_value > first.p_value
    assert second.effect is not None
    assert second.effect.low < 0 < second.effect.high
    assert second.verdict is Verdict.NOT_DISTINGUISHABLE


@pytest.mark.parametrize(("left", "num_begun"), [(3_999, 0), (4_000, 1)])
def test_tokens_of_finished_looks_count_in_every_later_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, num_begun: int
) -> None:
    """Search and first look have spent all but so many tokens, one trial's or a token less."""
    changes: dict[str, Any] = {"hypotheses": HYPOTHESES[:1], "space": GOOD,
                               "verify": {"pairs": [5, 8], "top": 0}}  # fmt: skip
    spec = searched(tmp_path, **changes)
    planned(spec)
    first = look(spec, noisy({}, spread=1.0))
    assert len(first.finished_looks) == 1
    spent = sum(trial.tokens for trial in load_results(StudyStore(spec, create=False)).trials)
    whole = spent + first.tokens + left
    short = spec_at(tmp_path, **changes, budget={"trials": spec.budget.trials, "tokens": whole})
    studies: list[StudySpec] = []

    def begin(study: StudySpec, **_: Any) -> RunOutcome:
        studies.append(study)
        return RunOutcome(None, wall_clock_spent=False)

    monkeypatch.setattr("sweeper.search.verifying.carrying.run_study", begin)
    verify_study(short, observe=nothing, tell=nothing)
    assert [study.budget.tokens for study in studies] == [left] * num_begun


def test_wall_clock_of_finished_looks_counts_in_every_later_call(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"hypotheses": HYPOTHESES[:1], "space": GOOD,
                               "verify": {"pairs": [5, 8], "top": 0}}  # fmt: skip
    spec = searched(tmp_path, **changes)
    planned(spec)
    look(spec, noisy({}, spread=1.0))
    first = verification_of(spec).finished_looks[0]
    study = look_study(spec, verification_of(spec).plan, 0, first.keys)
    for of, seconds in ((study, 40.0), (spec, 15.0)):
        StudyStore(of, create=False).study.set_user_attr(attrs.SECONDS_SPENT, seconds)
    short = spec_at(tmp_path, **changes, budget={"trials": 6, "wall_clock": "55s"})
    outcome = verify_study(short, observe=nothing, tell=nothing)
    assert outcome is not None
    assert outcome.wall_clock_spent


def test_baseline_that_is_best_is_not_compared_with_itself(tmp_path: Path) -> None:
    spec = spec_at(tmp_path, verify={"pairs": 5}, budget={"trials": 2})
    store = StudyStore(spec, create=True)
    for loss in (4.0, 5.0):
        store.finish(claimed(store), result(val_loss=loss))
    assert planned(spec).comparisons == ()
    assert verification_of(spec).next_look is None


def test_best_recipes_are_different_ones_below_the_baseline(tmp_path: Path) -> None:
    """A seed makes no recipe of its own, and a hypothesis among the best is one arm."""
    hypotheses = [
        {"name": "more rank", "change": {"rank": 4}},
        {"name": "quicker", "change": {"rank": 1}, "expect": "speed > baseline"},
    ]
    spec = spec_at(
        tmp_path,
        hypotheses=hypotheses,
        search={"sampler": "list"},
        space={},
        trials=[{"rank": 3, "seed": 8}, {"rank": 3}, {"seed": 8}, {"rank": 5}, {"rank": 6}],
        budget={"trials": 8},
        verify={"pairs": 5, "top": 5},
    )
    store = StudyStore(spec, create=True)
    for loss in (4.0, 3.5, 3.9, 3.0, 3.1, 3.2, 4.1, 3.8):
        store.finish(claimed(store), result(val_loss=loss))
    arms = planned(spec).plan.arms
    assert [(arm.key, arm.trial, arm.place) for arm in arms] == [
        ("hypothesis:more rank", 1, 2),
        ("hypothesis:quicker", 2, None),
        ("best", 3, 1),
        ("best:3", 7, 3),
        ("best:4", 2, 4),
    ]
    assert look_study(spec, verification_of(spec).plan, 0, ["best"]).evaluate.split == "validation"


def test_plan_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    spec = searched(tmp_path)
    plan = planned(spec).plan
    path = verification_folder(spec) / "plan.json"
    plain = json.loads(path.read_bytes())
    del plain["top"]
    for arm in plain["arms"]:
        del arm["place"]
    path.write_text(json.dumps(plain))
    again = plan_of(spec)
    assert [arm.key for arm in again.arms] == [arm.key for arm in plan.arms]


def test_study_is_verified_for_real_and_only_once(new_study: NewStudy) -> None:
    changes: dict[str, Any] = {
        "budget": {"trials": 3, "tokens_per_trial": 2_000},
        "hypotheses": [
            {"name": "no rate", "change": {"learning_rate": 1e-8}},
            {"name": "one by one", "change": {"batch_size": 1}, "expect": "speed < baseline"},
        ],
        "baseline": {"hyperparameters": {"learning_rate": 3e-2, "block_size": 16, "rank": 2,
                                         "batch_size": 4, "precision": "fp32"}},
        "verify": {"pairs": [5], "top": 0},
        "data": {"test": "10%"},
    }  # fmt: skip
    spec = new_study(**changes)
    run_study(spec, observe=nothing, tell=nothing)
    seen: list[Snapshot] = []
    outcome = verify_study(spec, observe=seen.append, tell=nothing)
    assert outcome is not None
    assert outcome.signal is None
    assert {snapshot.part for snapshot in seen} == {"other seeds, look 1 of 1"}
    assert all(snapshot.best_val_loss is None for snapshot in seen)
    labels = {trial.label for snapshot in seen for trial in snapshot.running}
    arms = {label.split(", seed ")[0] for label in labels}
    assert arms
    assert arms <= {"baseline", "no rate"}
    found = verification_of(spec)
    assert verdicts(found)["no rate"] is Verdict.REFUTED, found.comparisons
    searched_on, looked_on = (
        {read_manifest(path).plan.evaluate.split for path in folder.glob("trials/*/manifest.json")}
        for folder in (
            spec.output_folder,
            look_study(spec, found.plan, 0, ["hypothesis:no rate"]).output_folder,
        )
    )
    assert (searched_on, looked_on) == ({"validation"}, {"test"})
    assert len(found.comparisons[1].pairs) == 15
    assert len({base for _, base in found.comparisons[0].pairs}) == 5
    assert verify_study(spec, observe=nothing, tell=nothing) is None
    assert verification_of(spec) == found


def test_budget_holds_for_search_and_verification_together(tmp_path: Path) -> None:
    """Tokens that are spent leave the comparisons undecided; time that is spent says so."""
    spec = searched(tmp_path, budget={"trials": 6, "tokens": 6 * 4_000})
    planned(spec)
    measure(spec)
    assert verify_study(spec, observe=nothing, tell=nothing) is None
    assert verification_of(spec).tokens == 0
    store = StudyStore(spec, create=False)
    store.study.set_user_attr(attrs.SECONDS_SPENT, 60.0)
    short = spec_at(tmp_path, hypotheses=HYPOTHESES, space=GOOD, verify={"pairs": [5, 8]},
                    budget={"trials": 6, "wall_clock": "1min"})  # fmt: skip
    outcome = verify_study(short, observe=nothing, tell=nothing)
    assert outcome is not None
    assert outcome.wall_clock_spent
