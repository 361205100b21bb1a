"""How the benchmark judges: which trials differ, which are unstable, what is reached."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.study import Hyperparameters, experiment_key
from tests.benchmarks.equality import best_trial, compare, differences
from tests.benchmarks.sizes import SIZES
from tests.benchmarks.trials import default_study_recipes, heterogeneous_recipes
from tests.benchmarks.verdicts import Verdict, equality


def test_trials_differ_beyond_the_tolerance_or_where_one_has_no_number() -> None:
    assert compare([5.0, 5.0, None, None], [5.0009, 5.0011, None, 5.0], 1e-3) == [1, 3]


def test_the_best_is_the_lowest_and_the_earliest_of_equals() -> None:
    assert best_trial([None, 5.0, 4.0, 4.0]) == 2
    assert best_trial([None, None]) is None


@pytest.mark.parametrize(
    ("reruns", "is_unstable", "is_within"),
    [
        ([5.0, 5.0], False, False),  # B0 comes back to its own loss: so should we
        ([5.1, 5.3], True, True),  # 5.4 is 0.1 beyond runs that are 0.3 apart
        ([5.05, 5.1], True, False),
        ([None, 5.0], True, True),  # B0 itself ends in no number at times
    ],
)
def test_a_trial_that_differs_is_judged_by_the_references_own_spread(
    reruns: list[float | None], is_unstable: bool, is_within: bool
) -> None:
    (found,) = differences([4.0, 5.0], [4.0, 5.4], {"1": reruns}, 1e-3)

    assert (found.number, found.is_unstable, found.is_within) == (1, is_unstable, is_within)


def test_without_reruns_a_trial_that_differs_counts_as_stable() -> None:
    (found,) = differences([5.0], [5.4], {}, 1e-3)
    assert not found.is_unstable
    assert not found.is_within


@pytest.mark.parametrize(
    ("value", "at_most", "word"),
    [
        (1.9, False, "MISSED"),
        (2.0, False, "floor reached"),
        (4.0, False, "aim reached"),
        (4.1, True, "MISSED"),
    ],
)
def test_a_verdict_goes_by_floor_and_aim(value: float, at_most: bool, word: str) -> None:
    floor, aim = (2.0, 4.0) if not at_most else (4.0, 2.0)
    assert Verdict("x", value, floor, aim, at_most=at_most).word == word


def test_what_a_machine_cannot_decide_is_not_judged() -> None:
    assert Verdict("x", 9.0, 2.0, 4.0, undecided="no bf16").word == "not decided here"


@pytest.mark.parametrize("name", [name for name, size in SIZES.items() if not size.builtin])
def test_a_list_has_the_nominal_number_of_steps_and_no_experiment_twice(name: str) -> None:
    size = SIZES[name]
    recipes = heterogeneous_recipes(size)
    nominal = size.tokens_per_trial / (size.batch_size * size.block_size)
    steps = [recipe.steps_within(size.tokens_per_trial) for recipe in recipes]

    assert len({experiment_key(recipe) for recipe in recipes}) == len(recipes) == 32
    assert sum(steps) / len(steps) == pytest.approx(nominal, rel=0.1)
    assert max(recipe.block_size for recipe in recipes) <= size.positions
    for field in ("batch_size", "block_size", "accumulation", "schedule", "rank"):
        assert len({getattr(recipe, field) for recipe in recipes}) > 1


def test_the_default_studys_list_is_its_baseline_hypotheses_and_search() -> None:
    recipes = default_study_recipes()
    baseline = Hyperparameters(
        block_size=256, learning_rate=2e-5, schedule="cosine", warmup=0.1, seed=17
    )
    assert recipes[0] == baseline
    assert len({experiment_key(recipe) for recipe in recipes}) == len(recipes) == 24


def part_of(
    reference: list[float], ours: list[float], precision: str, **reruns: dict[str, list[float]]
) -> dict[str, Any]:
    """A size of which each arm ran once."""

    def runs(losses: list[float], notes: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"trials": [{"val_loss": loss} for loss in losses], "notes": notes}]

    arms = {"B0": runs(reference, {}), "ours": runs(ours, {"precisions": [precision]})}
    return {"runs": arms, "reruns": {}, "reruns_bf16": {}, **reruns}


def test_an_arm_in_bf16_is_judged_by_what_bf16_does_to_b0() -> None:
    """The first trial is the best in fp32, and nowhere in bf16."""
    again = {"0": [4.6, 4.7]}
    part = part_of([4.0, 4.5], [4.65, 4.5], "bf16", reruns_bf16=again)
    found = equality(part, "ours")
    assert (found.word, found.best) == ("NOT EQUAL: another best trial", (0, 1, 1))

    in_fp32 = part_of([4.0, 4.5], [4.65, 4.5], "fp32", reruns_bf16=again)
    assert equality(in_fp32, "ours").word == (
        "NOT EQUAL: another best trial; stable trials differ: 0"
    )
