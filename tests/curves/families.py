"""Families of runs, healthy and not: drawn from a seed, so that rules cannot be fitted to a file.

Times, lengths, levels and noise vary within each family as they do between real runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sweeper.curves import Curve, Point

Floats = NDArray[np.float64]


def curve(
    steps: Sequence[int] | NDArray[np.int64],
    train: Sequence[float] | Floats,
    val: Sequence[float | None] | Floats | None = None,
    **columns: Sequence[float] | Floats,
) -> Curve:
    """A curve from columns; losses are rounded as logs round them."""
    points = []
    for index, step in enumerate(steps):
        loss = val[index] if val is not None else None
        others = {name: float(column[index]) for name, column in columns.items()}
        points.append(
            Point(
                int(step),
                0,
                train_loss=round(float(train[index]), 4),
                val_loss=None if loss is None else round(float(loss), 4),
                **others,
            )
        )
    return Curve(tuple(points))


def pretraining(rng: np.random.Generator) -> Curve:
    """From scratch: a steep fall, then a long slow one; sometimes with evaluations."""
    num = int(rng.choice([12, 20, 50, 200, 1000]))
    done = np.arange(1, num + 1) / num
    end, start = rng.uniform(2, 5), rng.uniform(9, 11)
    loss = end + (start - end) * np.exp(-done / rng.uniform(0.02, 0.15))
    loss += 0.6 * (1 - done) * rng.uniform(0.3, 1.2)
    loss += rng.uniform(0.005, 0.06) * rng.standard_normal(num)
    val: list[float | None] | None = None
    if rng.random() < 0.5:
        every = max(1, num // int(rng.choice([5, 10])))
        val = [x + 0.01 if i % every == every - 1 else None for i, x in enumerate(loss.tolist())]
    return curve(np.arange(1, num + 1) * int(rng.choice([1, 10, 100])), loss, val)


def small_batches(rng: np.random.Generator) -> Curve:
    """A LoRA fine-tuning that logs small batches: a short fall and much noise."""
    num = int(rng.choice([10, 15, 25, 60, 200, 600]))
    done = np.arange(1, num + 1) / num
    loss = rng.uniform(0.8, 1.6) + rng.uniform(0.4, 1.5) * np.exp(-done / rng.uniform(0.03, 0.2))
    loss -= rng.uniform(0.05, 0.3) * done
    return curve(
        np.arange(1, num + 1) * 10, loss * np.exp(rng.uniform(0.02, 0.1) * rng.standard_normal(num))
    )


def epoch_staircase(rng: np.random.Generator) -> Curve:
    """A step down at each epoch's start, a slight rise within it."""
    num_epochs, length = int(rng.integers(2, 5)), int(rng.choice([8, 15, 50, 200]))
    place = np.arange(num_epochs * length)
    loss = rng.uniform(1.5, 2.5) - place // length * rng.uniform(0.15, 0.4)
    loss = loss + 0.08 * (place % length) / length + 0.6 * np.exp(-6 * place / length)
    loss += rng.uniform(0.01, 0.05) * rng.standard_normal(len(place))
    return curve(place * 10, loss)


def model_card(rng: np.random.Generator) -> Curve:
    """A few rows with both losses, as an automatic model card shows them."""
    rows = np.arange(1, int(rng.choice([3, 4, 5, 8, 10])) + 1)
    train = rng.uniform(0.5, 2) * (0.3 + 0.7 * rows ** -rng.uniform(0.4, 1))
    val = rng.uniform(0.5, 2) * (0.7 + 0.3 * rows ** -rng.uniform(0.4, 1))
    return curve(rows * 500, train, val * np.exp(0.004 * rng.standard_normal(len(rows))))


def warmup_bump(rng: np.random.Generator) -> Curve:
    """The loss rises a little as the rate reaches its peak, then falls."""
    num = int(rng.choice([50, 200, 1000]))
    place = np.arange(num)
    loss = rng.uniform(2, 4) + np.exp(-place / (num / 4))
    loss += rng.uniform(0.05, 0.25) * np.exp(-(((place - num * 0.05) / (num * 0.03)) ** 2))
    return curve(place, loss + 0.03 * rng.standard_normal(num))


def cosine_tail(rng: np.random.Generator) -> Curve:
    """A cosine's slow end, with the rate logged and a pause to save every 25 points."""
    num = int(rng.choice([40, 200, 1000]))
    done = np.arange(num) / num
    rate = (1 + np.cos(np.pi * done)) / 2
    loss = rng.uniform(1, 3) + rng.uniform(0.5, 3) * np.exp(-done / 0.08) + 0.15 * rate
    loss += rng.uniform(0.005, 0.03) * rng.standard_normal(num)
    pause = 1 + 2 * (np.arange(num) % 25 == 0)
    return curve(
        np.arange(num) * 10,
        loss,
        learning_rate=1e-4 * rate,
        step_seconds=pause * np.exp(0.03 * rng.standard_normal(num)),
    )


HEALTHY = (pretraining, small_batches, epoch_staircase, model_card, warmup_bump, cosine_tail)


def _scratch(rng: np.random.Generator) -> tuple[NDArray[np.int64], Floats]:
    healthy = pretraining(rng)
    return healthy.over_steps("train_loss")


def spiking(rng: np.random.Generator) -> Curve:
    """Up by a nat or more within one point, and down again."""
    steps, loss = _scratch(rng)
    num = len(steps)
    at = int(rng.integers(max(3, num // 4), max(4, num * 3 // 4)))
    width = max(1, min(40, num // 10))
    loss[at : at + width] += rng.uniform(1, 4) * np.exp(-np.arange(num - at)[:width] / width)
    return curve(steps, loss)


def diverging(rng: np.random.Generator) -> Curve:
    """Up, and further up to the end."""
    steps, loss = _scratch(rng)
    at = int(rng.integers(len(steps) // 3, len(steps) // 2))
    loss[at:] += np.linspace(0.5, rng.uniform(3, 6), len(steps) - at)
    return curve(steps, loss)


def stuck(rng: np.random.Generator) -> Curve:
    """Flat from a quarter of the run on, evaluated ten times."""
    num = int(rng.choice([20, 50, 200, 1000]))
    falling = 9.0 - 3 * np.minimum(np.arange(num) / (num / 4), 1.0)
    loss = falling + rng.uniform(0.003, 0.03) * rng.standard_normal(num)
    val = [x if i % (num // 10) == num // 10 - 1 else None for i, x in enumerate(loss.tolist())]
    return curve(np.arange(1, num + 1) * 10, loss, val)


def slowing(rng: np.random.Generator) -> Curve:
    """Healthy losses, and steps that take half as long again or more from some step on."""
    steps, loss = _scratch(rng)
    seconds = 0.1 * np.exp(0.05 * rng.standard_normal(len(steps)))
    seconds[int(rng.integers(len(steps) // 3, len(steps) * 2 // 3)) :] *= rng.uniform(1.5, 3)
    return curve(steps, loss, step_seconds=seconds)


def overfitting(rng: np.random.Generator) -> Curve:
    """Validation turns up, training goes on."""
    place = np.arange(int(rng.choice([5, 8, 15])))
    turn = len(place) // 2 - 1
    val = 1 + 0.3 * np.exp(-place) + np.maximum(0, place - turn) * rng.uniform(0.06, 0.2)
    return curve((place + 1) * 100, np.exp(-place / (len(place) / 3)), val)


SICK = {
    "spike": spiking,
    "divergence": diverging,
    "plateau": stuck,
    "throughput_drop": slowing,
    "overfit": overfitting,
}
