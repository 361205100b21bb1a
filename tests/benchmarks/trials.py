"""The fixed lists of trials: heterogeneous ones for every size, and the default study's.

Nothing here depends on a seed: a list is the same in every run, on every machine.
"""

from __future__ import annotations

from sweeper.study import Hyperparameters
from tests.benchmarks.sizes import Size

NUM_TRIALS = 32
SEED = 17
_LOWEST_RATE, _DECADES = 1e-4, 3.0  # up to 0.1, where some trials diverge
_RATE_STRIDE = 11  # coprime to 32: neighbours in the list are far apart in rate
_SCHEDULES = ("constant", "linear", "cosine")
_RANKS = (4, 8, 16)

# Factors on a size's nominal batch and block, and the accumulation. Five of eight keep the nominal
# tokens per step, one halves and two double them, so that on equal tokens a trial takes the
# nominal number of steps on average: (5 + 2 + 2 / 2) / 8 = 1.
_SHAPES: tuple[tuple[float, float, int], ...] = (
    (1, 1, 1),
    (2, 0.5, 1),
    (0.5, 2, 1),
    (0.5, 1, 2),
    (1, 0.5, 1),
    (1, 0.5, 2),
    (2, 1, 1),
    (1, 2, 1),
)


def nominal_recipe(size: Size) -> Hyperparameters:
    """The size's own batch and block with a quiet rate; what one trial alone is timed with."""
    return Hyperparameters(
        block_size=size.block_size,
        batch_size=size.batch_size,
        learning_rate=1e-3,
        schedule="constant",
        seed=SEED,
    )


def heterogeneous_recipes(size: Size) -> list[Hyperparameters]:
    """32 trials that differ in rate, batch, block, accumulation, schedule and rank.

    All rates differ, so that no two trials are the same experiment.
    """
    return [_recipe(size, index) for index in range(NUM_TRIALS)]


def _recipe(size: Size, index: int) -> Hyperparameters:
    batch_factor, block_factor, accumulation = _SHAPES[index % len(_SHAPES)]
    block = round(size.block_size * block_factor)
    batch = round(size.batch_size * batch_factor)
    if block > size.positions:  # the same tokens per step in blocks that the base has places for
        block, batch = block // 2, batch * 2
    place = index * _RATE_STRIDE % NUM_TRIALS / (NUM_TRIALS - 1)
    return Hyperparameters(
        block_size=block,
        batch_size=batch,
        accumulation=accumulation,
        learning_rate=float(f"{_LOWEST_RATE * 10 ** (_DECADES * place):.4g}"),
        schedule=_SCHEDULES[index % len(_SCHEDULES)],
        warmup=0.1,
        rank=_RANKS[index // len(_SHAPES) % len(_RANKS)],
        seed=SEED,
    )


# What `sweeper run studies/plateau.yaml` tried on the machine of reports/example: learning rate,
# block, batch, accumulation, schedule. The baseline and the four hypotheses come first.
_DEFAULT_STUDY: tuple[tuple[float, int, int, int, str], ...] = (
    (2e-5, 256, 8, 1, "cosine"),
    (2e-5, 128, 8, 1, "cosine"),
    (2e-5, 256, 8, 4, "cosine"),
    (1e-5, 256, 8, 1, "constant"),
    (1e-4, 256, 8, 1, "constant"),
    (0.06241, 256, 4, 2, "constant"),
    (0.00043, 64, 4, 4, "linear"),
    (0.0001053, 256, 8, 1, "linear"),
    (0.03566, 128, 4, 4, "cosine"),
    (4.649e-5, 256, 4, 1, "constant"),
    (0.009057, 128, 32, 4, "cosine"),
    (4.67e-5, 256, 32, 1, "constant"),
    (0.04086, 256, 16, 4, "cosine"),
    (0.001144, 128, 32, 2, "cosine"),
    (0.0002863, 128, 8, 2, "constant"),
    (0.04975, 64, 8, 4, "cosine"),
    (0.003026, 64, 4, 4, "linear"),
    (0.01122, 64, 4, 4, "linear"),
    (0.00329, 64, 4, 4, "linear"),
    (0.009233, 64, 16, 4, "linear"),
    (0.0125, 64, 4, 4, "linear"),
    (0.002549, 64, 4, 4, "linear"),
    (0.009055, 64, 4, 4, "linear"),
    (0.02147, 64, 4, 4, "linear"),
)


def default_study_recipes() -> list[Hyperparameters]:
    """The 24 trials of the default study."""
    return [
        Hyperparameters(
            learning_rate=rate,
            block_size=block,
            batch_size=batch,
            accumulation=accumulation,
            schedule=schedule,
            warmup=0.1,
            seed=SEED,
        )
        for rate, block, batch, accumulation, schedule in _DEFAULT_STUDY
    ]
