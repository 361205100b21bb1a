"""Validation against training: which is worse, and whether the distance grows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sweeper.curves import FindingKind
from sweeper.curves.noise import difference_sigma, theil_sen
from sweeper.curves.series import Series
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnosis import GapRow
from sweeper.diagnosis.excursion import excluded_steps

MAX_ROWS = 30
_TRAIN_POINTS = 5  # logged training losses that stand for the one at an evaluation
_LEAST_EVALUATIONS = 3
_MATTERS = 0.005  # of the loss: smaller changes of the gap are called constant


def gap_rows(case: Case) -> tuple[GapRow, ...]:
    """One row for each evaluation that has training losses beside it.

    Where none was logged at the same step, the median of the last few since the evaluation before
    stands for it: single training losses are noisy, and one step off would not matter.
    """
    losses = case.losses
    train, val = losses["train_loss"], losses["val_loss"]
    rows, before = [], -1
    for step, value in zip(val.steps.tolist(), val.values.tolist(), strict=True):
        at = _train_at(train, before, step)
        if at is not None:
            rows.append(GapRow(step, at, value, value - at))
        before = step
    return tuple(rows)


def _train_at(train: Series, before: int, step: int) -> float | None:
    near = train.between(before + 1, step)
    if not len(near):
        return None
    if near.steps[-1] == step:
        return float(near.values[-1])
    return float(np.median(near.values[-_TRAIN_POINTS:]))


def thin_rows(rows: Sequence[GapRow], max_rows: int = MAX_ROWS) -> tuple[GapRow, ...]:
    """An even choice of rows, first and last among them."""
    if len(rows) <= max_rows:
        return tuple(rows)
    chosen = np.unique(np.linspace(0, len(rows) - 1, max_rows).round().astype(int))
    return tuple(rows[int(index)] for index in chosen)


def read_gap(case: Case, rows: Sequence[GapRow]) -> tuple[str, ...]:
    """What the gap says, in sentences."""
    if not rows:
        logged = any(point.val_loss is not None for point in case.curve)
        missing = "training" if logged else "validation"
        return (f"No {missing} loss was logged, so overfitting cannot be told.",)
    spiked = excluded_steps(case.findings, case.losses)
    usable = [row for row in rows if row.step not in spiked and math.isfinite(row.gap)]
    return (*_sides(rows), *_trend(usable), *_overfitting(case, rows))


def _sides(rows: Sequence[GapRow]) -> tuple[str, ...]:
    below = [row for row in rows if row.gap > 0]
    low, high = min(row.gap for row in rows), max(row.gap for row in rows)
    between = f"by {phrases.loss(abs(low))} to {phrases.loss(abs(high))} nats"
    if len(below) == len(rows):
        share = max(row.gap / row.val_loss for row in rows)
        return (
            f"Training loss is below validation loss in all {phrases.plural(len(rows), 'row')}, "
            f"{between} (at most {100 * share:.1f} % of it).",
        )
    if not below:
        between = f"by {phrases.loss(abs(high))} to {phrases.loss(abs(low))} nats"
        return (
            f"Validation loss is below training loss in all {phrases.plural(len(rows), 'row')}, "
            f"{between}: dropout, a running mean of the training loss, or texts on both sides of "
            "the split can do that.",
        )
    return (
        f"Training loss is below validation loss in {len(below):,} of {len(rows):,} rows; the gap "
        f"lies between {phrases.nats(low)} and {phrases.nats(high)} nats.",
    )


def _trend(rows: Sequence[GapRow]) -> tuple[str, ...]:
    """Growing, shrinking or constant; the untrained row at step 0 is left out."""
    trained = [row for row in rows if row.step > 0]
    if len(trained) < 3:
        return (f"{phrases.plural(len(trained), 'row')} after the start: too few for a trend.",)
    x = np.array([row.step for row in trained], dtype=np.float64)
    y = np.array([row.gap for row in trained])
    slope, _ = theil_sen(x, y)
    change = float(slope * (x[-1] - x[0]))
    level = float(np.median([row.val_loss for row in trained]))
    # Three standard errors of a fitted line's rise over evenly spaced points.
    noise = 3 * difference_sigma(y) * math.sqrt(12 / len(trained))
    first, last = trained[0], trained[-1]
    ends = (
        f"from {phrases.loss(first.gap)} at step {first.step:,} to {phrases.loss(last.gap)} at "
        f"step {last.step:,}"
    )
    if abs(change) <= _MATTERS * abs(level):
        return (f"The gap is about constant: {ends}.",)
    if abs(change) <= noise:
        return (f"The gap has no trend beyond its scatter: {ends}.",)
    return (f"The gap {'grows' if change > 0 else 'shrinks'}, {ends}.",)


def _overfitting(case: Case, rows: Sequence[GapRow]) -> tuple[str, ...]:
    findings = case.of_kind(FindingKind.OVERFIT)
    if findings:
        return tuple(f"Overfitting: {finding.evidence}." for finding in findings)
    if case.of_kind(FindingKind.EVAL_NOT_TRACKING):
        return ("The evaluation does not follow training, so the gap tells nothing.",)
    if len(rows) < _LEAST_EVALUATIONS:
        return (f"{phrases.plural(len(rows), 'evaluation')} cannot tell overfitting.",)
    best = min(rows, key=lambda row: row.val_loss)
    return (
        "No overfitting: that would be a validation loss that rises while the training loss goes "
        f"on falling. The lowest validation loss is {phrases.loss(best.val_loss)} at step "
        f"{best.step:,}.",
    )
