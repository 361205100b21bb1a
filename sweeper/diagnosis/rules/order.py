"""What an epoch's length explains: text known by heart, and an order that repeats."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sweeper.curves.noise import difference_sigma
from sweeper.curves.series import Series
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.readings import epoch_steps
from sweeper.diagnosis.remedies import proposed
from sweeper.diagnosis.verdicts import contradicted, supported, untestable

_SIDE_POINTS = 4  # points whose median stands for one side of a boundary
_STEP_NATS = 0.05
_STEP_SIGMAS = 3.0
_MAX_BOUNDARIES = 100
_MIN_EPOCHS = 3
_MIN_POINTS_PER_EPOCH = 8
_CORRELATED = 0.5
_UNKNOWN_EPOCH = (
    "The steps of an epoch are not known: log the epoch, or give the training text with --data, "
    "its tokenizer with --model, and block_size and batch_size with --config."
)


def _decide_repetition(case: Case) -> Decision:
    per_epoch = epoch_steps(case)
    if per_epoch is None:
        return untestable(_UNKNOWN_EPOCH)
    losses = Series.of(case.curve, "train_loss")
    last = int(losses.steps[-1]) if len(losses) else 0
    if last <= per_epoch:
        return contradicted(
            0.8,
            f"The log ends at step {last:,}, within the first epoch of "
            f"{phrases.steps(per_epoch)} steps.",
        )
    drops = boundary_drops(losses, per_epoch)
    if not drops:
        return untestable(
            f"Too few losses beside the ends of epochs ({phrases.steps(per_epoch)} steps each): "
            "log them more often."
        )
    return _by_drops(losses, drops)


def boundary_drops(losses: Series, per_epoch: float) -> list[tuple[int, float, float]]:
    """At every end of an epoch: its step, the fall across it, and the fall as long before it."""
    steps, values = losses.steps, losses.values
    drops = []
    for epoch in range(1, min(int(steps[-1] / max(per_epoch, 1e-9)), _MAX_BOUNDARIES) + 1):
        end = epoch * per_epoch
        cut = int(np.searchsorted(steps, end, side="right"))
        sides = [values[cut + shift : cut + shift + _SIDE_POINTS] for shift in (-8, -4, 0)]
        if cut < 2 * _SIDE_POINTS or any(len(side) < _SIDE_POINTS for side in sides):
            continue
        early, before, after = (float(np.median(side)) for side in sides)
        drops.append((round(end), before - after, early - before))
    return drops


def _by_drops(losses: Series, drops: list[tuple[int, float, float]]) -> Decision:
    sigma = difference_sigma(losses.values)
    needed = max(_STEP_NATS, _STEP_SIGMAS * sigma / math.sqrt(_SIDE_POINTS))
    steep = [(at, fall) for at, fall, trend in drops if fall > max(needed, 2 * trend)]
    text = f"The loss steps down at {len(steep)} of {len(drops)} ends of epochs"
    if 2 * len(steep) <= len(drops):
        return contradicted(0.7, f"{text} (by more than {phrases.loss(needed)} nats).")
    at, fall = max(steep, key=lambda drop: drop[1])
    return supported(
        0.7 if len(steep) > 1 else 0.5,
        f"{text}, by {phrases.loss(fall)} nats at step {at:,}: text that was seen before is known, "
        "which is not learning to predict other text.",
        num_steps_down=len(steep),
        largest=fall,
    )


def _advise_repetition(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="fewer-epochs",
            title="Judge by a validation set, and stop where it turns",
            reason=f"{decision.evidence[0]} The training loss flatters the model then.",
            refuted_by="The validation loss steps down at the same ends of epochs.",
            urgency=3,
        )
    )


def _decide_order(case: Case) -> Decision:
    per_epoch = epoch_steps(case)
    if per_epoch is None:
        return untestable(_UNKNOWN_EPOCH)
    losses = Series.of(case.curve, "train_loss")
    spacing = float(np.median(np.diff(losses.steps))) if len(losses) > 1 else math.inf
    lag = round(per_epoch / spacing) if 0 < spacing < math.inf else 0
    if lag < _MIN_POINTS_PER_EPOCH or len(losses) < _MIN_EPOCHS * lag:
        return untestable(
            f"An order that repeats shows over {_MIN_EPOCHS} epochs of {_MIN_POINTS_PER_EPOCH} "
            f"points or more; here are {len(losses)} points, {lag} of them an epoch."
        )
    found = correlation_at(losses.values, lag)
    text = f"Losses one epoch apart ({phrases.steps(per_epoch)} steps) correlate by {found:.2f}"
    if found < _CORRELATED:
        return contradicted(0.7, f"{text}.", correlation=found)
    return supported(
        0.6, f"{text}, trend removed: the batches come in the same order.", correlation=found
    )


def correlation_at(values: NDArray[np.float64], lag: int) -> float:
    """The correlation of a series with itself `lag` points later, its running mean removed."""
    kernel = np.ones(lag) / lag
    smooth = np.convolve(values, kernel, mode="valid")
    begin = (lag - 1) // 2
    rest = values[begin : begin + len(smooth)] - smooth
    left, right = rest[:-lag], rest[lag:]
    # What is left of a plain trend is rounding, which may well correlate.
    rounding = 1e-9 * float(np.max(np.abs(values), initial=0.0))
    if len(left) < 3 or min(np.ptp(left), np.ptp(right)) <= rounding:
        return 0.0
    # Scaled first, for squares of huge losses are no numbers any more.
    left, right = (
        (part - part.mean()) / np.max(np.abs(part - part.mean())) for part in (left, right)
    )
    size = float(np.sqrt(np.sum(left**2) * np.sum(right**2)))
    return float(np.sum(left * right)) / size if size > 0 else 0.0


def _advise_order(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="shuffle-epochs",
            title="Shuffle the documents anew in every epoch, with a seed",
            reason=decision.evidence[0],
            refuted_by="The waves stay in the loss when the order changes.",
            urgency=4,
        )
    )


REPETITION = Rule(
    id="repetition",
    title="The loss falls because text repeats",
    needs=(Evidence.LOG,),
    decide=_decide_repetition,
    cannot_show="Overfitting, without a validation loss.",
    experiment="Evaluate on held-out text on both sides of an epoch's end.",
    advise=_advise_repetition,
)
DATA_ORDER = Rule(
    id="data-order",
    title="The order of the data shows in the loss",
    needs=(Evidence.LOG,),
    decide=_decide_order,
    cannot_show="Whether the order does harm.",
    experiment="Repeat an epoch in another order: the waves must change.",
    advise=_advise_order,
)
