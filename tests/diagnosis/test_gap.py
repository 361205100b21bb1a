from __future__ import annotations

import numpy as np
import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.gap import gap_rows, read_gap, thin_rows
from tests.diagnosis.fakes import case_of, finding, points, recorded_case, spike


def reading(case: Case) -> str:
    return " ".join(read_gap(case, gap_rows(case)))


def test_in_the_recorded_run_training_is_below_validation_in_every_row() -> None:
    rows = gap_rows(recorded_case())

    assert [row.step for row in rows] == [0, 500, 1000, 1500, 2000, 2500]
    assert [row.gap for row in rows] == pytest.approx(
        [0.0410, 0.1747, 0.1285, 0.0916, 0.0323, 0.0681], abs=1e-9
    )
    text = reading(recorded_case())
    assert "Training loss is below validation loss in all 6 rows, by 0.0323 to 0.1747" in text
    assert "The gap shrinks, from 0.1747 at step 500 to 0.0681 at step 2,500." in text
    assert "No overfitting" in text


def test_validation_below_training_is_said_with_what_can_do_that() -> None:
    case = case_of(points([5.0, 4.0, 3.0, 2.5], [4.9, 3.9, 2.9, 2.4]))

    text = reading(case)

    assert "Validation loss is below training loss in all 4 rows" in text
    assert "both sides of the split" in text


@pytest.mark.parametrize(
    ("gaps", "sentence"),
    [
        ([0.1, 0.1, 0.2, 0.3, 0.4, 0.5], "The gap grows, from"),
        ([0.1, 0.6, 0.5, 0.4, 0.3, 0.2], "The gap shrinks, from"),
        ([0.1, 0.201, 0.2, 0.202, 0.199, 0.2], "The gap is about constant"),
        ([0.1, 0.1, 0.5, 0.0, 0.6, 0.2], "no trend beyond its scatter"),
    ],
)
def test_the_trend_of_the_gap(gaps: list[float], sentence: str) -> None:
    train = [5.0, 4.0, 3.5, 3.2, 3.0, 2.9]
    val = [loss + gap for loss, gap in zip(train, gaps, strict=True)]

    assert sentence in reading(case_of(points(train, val)))


def test_noise_alone_is_never_called_a_trend() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        train = 3.0 + 0.1 * rng.standard_normal(40)
        case = case_of(points(train.tolist(), [3.1] * 40))

        assert "grows" not in reading(case)
        assert "shrinks" not in reading(case)


def test_overfitting_is_only_what_the_finding_says() -> None:
    train, val = [5.0, 4.0, 2.0, 1.0], [5.1, 4.2, 4.6, 5.2]

    assert "No overfitting" in reading(case_of(points(train, val)))
    overfit = finding(FindingKind.OVERFIT, 1, 3)
    assert "Overfitting: overfit seen." in reading(case_of(points(train, val), [overfit]))


def test_an_evaluation_that_stands_still_tells_nothing() -> None:
    stale = finding(FindingKind.EVAL_NOT_TRACKING, 0, 3)
    case = case_of(points([5.0, 4.0, 3.0, 2.0], [5.0] * 4), [stale])

    assert "so the gap tells nothing" in reading(case)
    assert "No overfitting" not in reading(case)


def test_a_spike_is_no_part_of_the_trend() -> None:
    case = case_of(points([5.0, 4.0, 9.0, 3.0], [5.1, 4.2, 9.9, 3.3]), [spike(2)])

    assert "2 rows after the start: too few for a trend." in reading(case)


def test_two_evaluations_cannot_tell_overfitting() -> None:
    text = reading(case_of(points([5.0, 4.0], [5.1, 4.2])))

    assert "2 evaluations cannot tell overfitting." in text


@pytest.mark.parametrize(
    ("train", "val", "missing"),
    [([5.0, 4.0], None, "validation"), ([None, None], [5.0, 4.0], "training")],
)
def test_one_loss_alone_makes_no_gap(
    train: list[float | None], val: list[float | None] | None, missing: str
) -> None:
    case = case_of(points(train, val))

    assert gap_rows(case) == ()
    assert f"No {missing} loss was logged, so overfitting cannot be told." in reading(case)


def test_training_losses_beside_an_evaluation_stand_for_the_one_at_it() -> None:
    train: list[float | None] = [5.0, 4.0, 3.0, 2.0, None, 1.9, 1.8, None]
    val: list[float | None] = [None, None, None, None, 2.6, None, None, 2.3]

    rows = gap_rows(case_of(points(train, val)))

    assert [(row.step, row.train_loss) for row in rows] == [(4, 3.5), (7, 1.85)]


def test_many_rows_are_thinned_with_both_ends_kept() -> None:
    losses = [5.0 - i / 1000 for i in range(500)]
    rows = gap_rows(case_of(points(losses, losses)))

    thin = thin_rows(rows)

    assert len(thin) <= 30
    assert (thin[0].step, thin[-1].step) == (0, 499)
    assert thin_rows(rows[:10]) == rows[:10]
