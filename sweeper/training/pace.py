"""How fast recipes train, measured in turn in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.device import find_device
from sweeper.training.ground import engine_of, ground_of
from sweeper.training.packs import engine_for, new_pack
from sweeper.training.precision import precision_on, resolved
from sweeper.training.setup import Setup
from sweeper.training.timing import seconds_per_token
from sweeper.training.workbench import set_up

MEASURED_S = 0.25  # of each recipe in each turn


def speeds_in_turns(
    spec: StudySpec,
    setup: Setup,
    recipes: Sequence[Hyperparameters],
    num_turns: int,
    go_on: Callable[[], bool],
) -> list[list[float]]:
    """Training speed of some recipes, turn by turn.

    In each turn all recipes are measured one after the other, every turn in another order, so
    that whatever slows the machine for longer than a turn meets all of them.

    Args:
        spec: The study; its base must be there.
        setup: What a worker of it trains with: its threads, and the trials at a time.
        recipes: What is compared; two or more.
        num_turns: How often each is measured, 1 or more.
        go_on: Asked before each turn; where it is false, the turns so far are the answer.

    Returns:
        For each turn the tokens a second of every recipe.
    """
    bench = set_up(ground_of(spec), find_device(setup.threads), precision=setup.precision)
    choice = precision_on(bench)
    recipes = [resolved(recipe, choice) for recipe in recipes]
    engines = [engine_for(engine_of(spec), bench.base, recipe) for recipe in recipes]
    packs = {engine: new_pack(engine, bench, setup.slots) for engine in {*engines}}
    turns: list[list[float]] = []
    while len(turns) < num_turns and go_on():
        speeds = [0.0] * len(recipes)
        first = len(turns) % len(recipes)
        for number in (*range(first, len(recipes)), *range(first)):
            speeds[number] = 1 / seconds_per_token(
                packs[engines[number]],
                bench.base,
                recipes[number],
                bench.device,
                least_s=MEASURED_S,
            )
        turns.append(speeds)
    return turns
