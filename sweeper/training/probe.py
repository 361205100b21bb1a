"""How many tokens a second a process trains, alone or while others do the same beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.device import find_device, is_out_of_memory
from sweeper.training.engine import Pack, SeatOutOfMemory
from sweeper.training.ground import engine_of, ground_of
from sweeper.training.packed.engine import fills_a_pass
from sweeper.training.packs import engine_for, new_pack
from sweeper.training.precision import precision_on, resolved
from sweeper.training.setup import PrecisionChoice, Setup
from sweeper.training.timing import seconds_per_token, two_passes
from sweeper.training.workbench import Workbench, set_up

MEASURED_S = 0.6  # of every recipe; long enough for a median of some steps


def probe(
    spec: StudySpec,
    setup: Setup,
    slots: Sequence[int],
    recipes: Sequence[Hyperparameters],
    meet: Callable[[str], None],
) -> tuple[PrecisionChoice, tuple[float, ...]]:
    """Measure what this process trains of a study.

    Args:
        spec: The study; its base must be there.
        setup: What it trains with; a precision that is not decided is decided first.
        slots: Numbers of trials at a time to measure, rising.
        recipes: What is trained; one or more.
        meet: Called with a name before each measurement, which begins when it returns.

    Returns:
        What `precision: auto` comes to, and tokens a second in the order of `slots`: 0 for
        slots that the engine does not have, or that do not fit into the memory.
    """
    bench = set_up(ground_of(spec), find_device(setup.threads), precision=setup.precision)
    choice = precision_on(bench)
    return choice, speeds_of(spec, bench, slots, [resolved(r, choice) for r in recipes], meet)


def speeds_of(
    spec: StudySpec,
    bench: Workbench,
    slots: Sequence[int],
    recipes: Sequence[Hyperparameters],
    meet: Callable[[str], None],
) -> tuple[float, ...]:
    """Tokens a second for each number of slots, all of which train the same recipe.

    The harmonic mean over the recipes: each is a trial that spends the same tokens. A recipe whose
    batch fills a pass shares none with its neighbours: it is measured for the first number alone.

    Args:
        spec: The study.
        bench: Where it trains.
        slots: Numbers of trials at a time, rising.
        recipes: One or more, their precision resolved.
        meet: Called with a name before each measurement, which begins when it returns.
    """
    engine = engine_for(engine_of(spec), bench.base, recipes[0])
    found: dict[int, float] = {}  # seconds a token, by a recipe's place, as measured last
    speeds = []
    for number in slots:
        pack = new_pack(engine, bench, number)
        if len(pack.seats) < number:  # peft trains one trial at a time
            speeds.append(0.0)
            continue
        for place, recipe in enumerate(recipes):
            if place in found and fills_a_pass(recipe, bench.device):
                continue
            meet(f"{number}-{place}")
            found[place] = _seconds_per_token(pack, bench, recipe)
        speeds.append(len(found) / sum(found.values()))
    return tuple(speeds)


def _seconds_per_token(pack: Pack, bench: Workbench, recipe: Hyperparameters) -> float:
    """Infinite where it does not fit: the others wait at the next meeting all the same."""
    try:
        return seconds_per_token(
            pack,
            bench.base,
            recipe,
            bench.device,
            least_s=MEASURED_S,
            most_tokens=two_passes(recipe, bench.device),
        )
    except (SeatOutOfMemory, RuntimeError, MemoryError) as error:
        if not isinstance(error, SeatOutOfMemory) and not is_out_of_memory(error):
            raise
        return math.inf
