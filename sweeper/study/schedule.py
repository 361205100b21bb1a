"""The learning rate at every step: one function for training, plots and diagnosis."""

from __future__ import annotations

import math

from sweeper.study.hyperparameters import Hyperparameters, warmup_steps


def learning_rate_at(step: int, total_steps: int, hyperparameters: Hyperparameters) -> float:
    """The learning rate of one optimizer step.

    Warmup rises linearly from `warmup_start_factor` of the peak at step 0 to the
    peak at the first step after it. Then `constant` stays, `linear` and `cosine`
    fall to `floor_factor` of the peak, which the step after the last would have.
    (Cosine: Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5, without restarts.)

    Args:
        step: 0 for the first step.
        total_steps: Steps of the whole run.
        hyperparameters: The recipe.
    """
    peak = hyperparameters.learning_rate
    warmup = warmup_steps(hyperparameters.warmup, total_steps)
    if step < warmup:
        start = hyperparameters.warmup_start_factor
        return peak * (start + (1 - start) * step / warmup)
    if hyperparameters.schedule == "constant":
        return peak
    progress = min((step - warmup) / max(total_steps - warmup, 1), 1.0)
    remaining = 1 - progress
    if hyperparameters.schedule == "cosine":
        remaining = (1 + math.cos(math.pi * progress)) / 2
    floor = hyperparameters.floor_factor
    return peak * (floor + (1 - floor) * remaining)


def decay_left(step: int, total_steps: int, hyperparameters: Hyperparameters) -> float:
    """How much of its peak the rate will still lose, from 0 (none) to 1.

    Until the decay begins it is all of it: a run whose rate has still to fall
    often improves late.
    """
    peak = hyperparameters.learning_rate
    at = max(step, warmup_steps(hyperparameters.warmup, total_steps))
    now = learning_rate_at(at, total_steps, hyperparameters)
    end = learning_rate_at(total_steps, total_steps, hyperparameters)
    return (now - end) / peak
