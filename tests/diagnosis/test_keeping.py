from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnosis import CheckpointAdvice
from sweeper.diagnosis.keeping import judge_checkpoints, nearest_checkpoint
from sweeper.diagnosis.last_good import find_last_good
from tests.diagnosis.fakes import case_of, finding, points, recorded_case, spike


def judged(case: Case) -> dict[int, CheckpointAdvice]:
    """The advice by step."""
    return {advice.step: advice for advice in judge_checkpoints(case, find_last_good(case))}


def test_the_recorded_run_by_its_steps() -> None:
    advice = judged(recorded_case())

    assert {step: item.keep for step, item in advice.items()} == {
        1000: True,
        1500: True,
        2000: False,
        2500: True,
    }
    assert advice[1000].reason == "the lowest validation loss before the damage, 6.7096"
    assert advice[1500].reason == "the last good step by time (validation 6.7427)"
    assert "inside the spike at step 2,000: 9.5846 against 6.6511" in advice[2000].reason
    assert "as good by validation: 6.7105 against 6.7096 at step 1,000" in advice[2500].reason
    assert "check it before you build on it" in advice[2500].reason


def test_checkpoints_are_named_as_their_files_are() -> None:
    files = [(500, "run_step000500.pt"), (1500, "run_step001500.pt"), (2000, "run_step002000.pt")]

    advice = judge_checkpoints(
        recorded_case(checkpoint_steps=files), find_last_good(recorded_case())
    )

    assert [(item.name, item.keep) for item in advice] == [
        ("run_step000500.pt", False),
        ("run_step001500.pt", True),
        ("run_step002000.pt", False),
    ]
    assert advice[0].reason == "worse by validation: 7.1291 against 6.7096 at step 1,000"


def test_the_newest_before_the_last_good_step_is_kept_where_that_step_was_not_saved() -> None:
    advice = judged(recorded_case(checkpoint_steps=[(400, "a.pt"), (1400, "b.pt")]))

    assert advice[1400].keep
    assert advice[1400].reason == "the newest at or before step 1,500, the last good one"


def test_everything_after_a_damage_that_stayed_is_to_be_ignored() -> None:
    broken = finding(FindingKind.NON_FINITE, 2, 3, recovered=False)
    case = case_of(
        points([5.0, 4.0, math.nan, math.nan]),
        [broken],
        checkpoint_steps=[(1, "1.pt"), (2, "2.pt"), (900, "900.pt")],
    )

    advice = judged(case)

    assert [advice[step].keep for step in (1, 2, 900)] == [True, False, False]
    assert "which the run never got over" in advice[900].reason


def test_the_way_back_from_a_spike_is_part_of_it() -> None:
    case = case_of(points([3.0, 3.0, 9.0, 5.0, 3.0]), [spike(2, 3)], checkpoint_steps=[(3, "3.pt")])

    assert not judged(case)[3].keep


def test_better_validation_after_a_spike_that_healed() -> None:
    losses = [5.0, 4.0, 9.0, 4.0, 3.0]
    case = case_of(points(losses, losses), [spike(2)], checkpoint_steps=[(1, ""), (4, "")])

    advice = judged(case)

    assert advice[4].reason == "the lowest validation loss, 3.0000"
    assert advice[1].reason == "worse by validation: 4.0000 against 3.0000 at step 4"


def test_a_step_without_evaluation_is_not_judged_by_one() -> None:
    case = case_of(points([5.0, 4.0, 3.0]), checkpoint_steps=[(1, "1.pt")])

    assert judged(case)[1].reason == "no sign of damage; not evaluated at this step"


def test_a_healthy_run_without_a_folder_has_no_advice() -> None:
    assert judged(case_of(points([5.0, 4.0, 3.0]))) == {}


@pytest.mark.parametrize(
    ("steps", "last", "nearest"),
    [
        ([500, 1500, 2000], 1500, 1500),
        ([500, 2000], 1500, 500),
        ([2000], 1500, None),
        ([], 9, None),
    ],
)
def test_the_nearest_checkpoint_is_never_after_the_step(
    steps: Sequence[int], last: int, nearest: int | None
) -> None:
    assert nearest_checkpoint(steps, last) == nearest
    assert nearest_checkpoint(steps, None) is None
