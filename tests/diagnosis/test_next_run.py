from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis.cause import Advice
from sweeper.diagnosis.diagnosis import ProposedTest, Recommendation
from sweeper.diagnosis.next_run import propose_test
from tests.diagnosis.fakes import (
    RECORDED_CONFIG,
    advice,
    case_of,
    finding,
    points,
    recorded_case,
    spike,
)


def recommended(*advised: Advice) -> tuple[Recommendation, ...]:
    """Advice in its order."""
    return tuple(
        Recommendation(place, each, ("a-cause",), 0.6) for place, each in enumerate(advised, 1)
    )


def proposed(
    *advised: Advice, config: Mapping[str, object] = RECORDED_CONFIG, command: str | None = None
) -> ProposedTest:
    """The test of the recorded run."""
    test = propose_test(recorded_case(config), recommended(*advised), command)
    assert test is not None
    return test


def test_the_first_advice_that_is_a_change_is_tested_alone() -> None:
    test = proposed(
        advice("look", {}), advice("smaller", {"block_size": 128}), advice("bigger", {"rank": 16})
    )

    assert test.command == (
        "TRAINING_STEPS=5000 BLOCK_SIZE=128 BATCH_SIZE=8 LEARNING_RATE=2e-5 SCHEDULE=cosine "
        "python training.py"
    )
    assert test.refuted_by == "smaller changes nothing."
    assert "one change at a time" in test.remark
    assert "a script such as training.py reads BLOCK_SIZE" in test.remark


def test_half_the_block_takes_twice_the_steps_for_the_same_tokens() -> None:
    assert "TRAINING_STEPS=2500 " in proposed(advice()).command
    assert "TRAINING_STEPS=5000 " in proposed(advice("b", {"block_size": 128})).command
    assert "TRAINING_STEPS=625 " in proposed(advice("b", {"accumulation": 4})).command
    assert "TRAINING_STEPS=2500 " in proposed(advice("b", {"accumulation": 4}), config={}).command


def test_the_users_command_is_used_where_it_is_known() -> None:
    test = proposed(advice(), command="uv run train.py --fast")

    assert test.command.endswith("LEARNING_RATE=1e-4 SCHEDULE=cosine uv run train.py --fast")
    assert "only if your script reads LEARNING_RATE from its environment" in test.remark


def test_a_trial_of_ours_is_trained_by_sweeper() -> None:
    case = recorded_case(is_trial=True)

    test = propose_test(case, recommended(advice("c", {"train_also": "embeddings+norms"})))

    assert test is not None
    assert test.command == (
        "sweeper train --set block_size=256 --set batch_size=8 --set learning_rate=2e-5 "
        "--set schedule=cosine --set train_also=embeddings+norms --steps 2500"
    )


def test_a_change_to_what_the_run_has_already_is_none() -> None:
    same = advice("same", {"learning_rate": 2e-5, "schedule": "cosine"})

    assert "LEARNING_RATE=1e-4" in proposed(same, advice()).command


def test_an_advice_that_no_run_could_follow_is_passed_over() -> None:
    assert "LEARNING_RATE=1e-4" in proposed(advice("odd", {"rank": -3}), advice()).command
    assert "LEARNING_RATE=1e-4" in proposed(advice("odd", {"wings": 2}), advice()).command


def test_the_interval_of_a_plateau_is_what_a_wrong_advice_gives() -> None:
    test = proposed(advice())

    assert test.expected == (
        "If the advice is wrong, the validation loss ends at 6.6273 to 6.8146, as this run's own "
        "does; below 6.6273 it helped."
    )
    assert (test.low, test.high) == (pytest.approx(6.6273, abs=1e-4), pytest.approx(6.8146, 1e-4))
    assert "Student's t" in test.basis


def test_another_block_makes_losses_comparable_only_under_one_condition() -> None:
    assert "only if evaluated at block size 256" in proposed(advice("b", {"block_size": 64})).basis


def test_an_advice_for_speed_promises_no_loss() -> None:
    test = proposed(advice("b", {"block_size": 128}, expect="speed > baseline"))

    assert test.expected.startswith("More tokens per second than here; the validation loss may")


def test_after_a_damage_that_stayed_the_trend_before_it_tells() -> None:
    losses = [5.0, 4.5, 4.2, 4.0, 3.9, 3.8, 9.0, 9.5, 9.9, 9.9]
    lasting = finding(FindingKind.DIVERGENCE, 6, 9, recovered=False)

    test = propose_test(case_of(points(losses), [lasting]), recommended(advice()))

    assert test is not None
    assert test.expected.startswith("If it holds, the training loss at step 9 is 3.")
    assert "where this run was heading before step 6" in test.expected


@pytest.mark.parametrize(
    ("losses", "found", "expected"),
    [
        (
            [5.0, 3.0, 9.0],
            spike(2, recovered=False),
            "It helped if no training loss up to step 2 is above 6.0000, half the height",
        ),
        (
            [5.0, math.nan, math.nan],
            finding(FindingKind.NON_FINITE, 1, 2, recovered=False),
            "It helped if every loss up to step 2 is a number above 0.",
        ),
        (
            [5.0, 4.0, 4.0],
            finding(FindingKind.WEIGHTS_NOT_UPDATING, 1, 2),
            "No interval: the log holds too little to foretell a loss.",
        ),
    ],
)
def test_without_an_interval_there_is_a_criterion(
    losses: list[float], found: Finding, expected: str
) -> None:
    test = propose_test(case_of(points(losses), [found]), recommended(advice()))

    assert test is not None
    assert test.expected.startswith(expected)
    assert (test.low, test.high) == (None, None)
    assert "too short for an interval" in test.basis


def test_overfitting_is_over_when_the_best_validation_loss_falls() -> None:
    case = case_of(points([5.0, 4.0, 3.0], [5.0, 4.5, 4.9]), [finding(FindingKind.OVERFIT, 1, 2)])

    test = propose_test(case, recommended(advice("more-dropout", {"dropout": 0.1})))

    assert test is not None
    assert test.expected == (
        "It helped if the validation loss falls below 4.5000, the best of this run."
    )


def test_without_a_change_to_try_the_run_is_repeated() -> None:
    assert "SEED=18" in proposed(advice("look", {})).command


def test_nothing_to_test_on_a_healthy_run() -> None:
    assert propose_test(case_of(points([5.0, 4.0])), recommended(advice())) is None
