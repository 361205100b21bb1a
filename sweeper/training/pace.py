"""How much faster one recipe trains than another, measured in turn in one process."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.bench_trainer import engine_of, ground_of
from sweeper.training.device import find_device
from sweeper.training.packs import engine_for, new_pack
from sweeper.training.precision import precision_on, resolved
from sweeper.training.setup import Setup
from sweeper.training.timing import seconds_per_token
from sweeper.training.workbench import set_up

MEASURED_S = 0.25  # of each recipe in each turn


def speed_ratios(
    spec: StudySpec,
    setup: Setup,
    baseline: Hyperparameters,
    others: Sequence[Hyperparameters],
    num_turns: int,
    go_on: Callable[[], bool],
) -> list[list[float]]:
    """Training speed of recipes over the baseline's, turn by turn.

    In each turn all recipes are measured one after the other, every turn in another order, so
    that whatever slows the machine for longer than a turn meets all of them.

    Args:
        spec: The study; its base must be there.
        setup: What a worker of it trains with: its threads, and the trials at a time.
        baseline: What the others are compared with.
        others: One or more.
        num_turns: How often each is measured, 1 or more.
        go_on: Asked before each turn; where it is false, the turns so far are the answer.

    Returns:
        For each of the others the natural logarithm of its tokens a second over the baseline's,
        in each turn.
    """
    bench = set_up(ground_of(spec), find_device(setup.threads), precision=setup.precision)
    choice = precision_on(bench)
    recipes = [resolved(recipe, choice) for recipe in (baseline, *others)]
    packs = {
        engine: new_pack(engine, bench, setup.slots)
        for engine in {engine_for(engine_of(spec), bench.base, recipe) for recipe in recipes}
    }
    ratios: list[list[float]] = [[] for _ in others]
    for turn in range(num_turns):
        if not go_on():
            break
        times_s = {}
        first = turn % len(recipes)
        for number in (*range(first, len(recipes)), *range(first)):
            recipe = recipes[number]
            pack = packs[engine_for(engine_of(spec), bench.base, recipe)]
            times_s[number] = seconds_per_token(
                pack, bench.base, recipe, bench.device, least_s=MEASURED_S
            )
        for number, kept in enumerate(ratios, start=1):
            kept.append(math.log(times_s[0] / times_s[number]))
    return ratios
