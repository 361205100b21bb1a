"""How often the detectors are right on families of runs: recall, and alarms on healthy ones.

    python -m tests.benchmarks.detection [RUNS_PER_FAMILY]

The families draw length, level, noise and shape from a seed (tests/curves/families.py); the tests
hold the detectors against 25 seeds of each, this prints the rates over many more, and how long a
log of 100,000 points takes.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from sweeper.curves import Curve
from sweeper.curves.detection import detect
from tests.curves.families import HEALTHY, SICK, curve

Family = Callable[[np.random.Generator], Curve]


def count_kinds(family: Family, num_runs: int) -> Counter[str]:
    """In how many runs of a family each kind was found; under `none`, those without any."""
    counts: Counter[str] = Counter()
    for seed in range(num_runs):
        kinds = {finding.kind.value for finding in detect(family(np.random.default_rng(seed)))}
        counts.update(kinds or {"none"})
    return counts


def long_log(num_points: int = 100_000) -> Curve:
    """A noisy decay with one spike, an evaluation every 500 points, and step times."""
    rng = np.random.default_rng(0)
    place = np.arange(num_points)
    loss = 3 + 7 * np.exp(-place / 8000) + 0.08 * rng.standard_normal(num_points)
    loss[num_points // 2 : num_points // 2 + 30] += 2
    val = [x if i % 500 == 0 else None for i, x in enumerate(loss.tolist())]
    seconds = 0.1 * (1 + 0.05 * rng.random(num_points))
    return curve(place, loss, val, step_seconds=seconds)


def main() -> None:
    """Print both tables and the time."""
    num_runs = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print(f"healthy families, alarms in {num_runs} runs each")
    for family in HEALTHY:
        counts = count_kinds(family, num_runs)
        alarms = {kind: num for kind, num in counts.items() if kind != "none"}
        print(f"  {family.__name__:<18}{num_runs - counts['none']:>5}  {alarms or ''}")
    print(f"sick families, found in {num_runs} runs each")
    for kind, family in SICK.items():
        print(f"  {kind:<18}{count_kinds(family, num_runs)[kind]:>5}")
    run = long_log()
    began = time.process_time()
    found = [finding.kind.value for finding in detect(run)]
    print(f"100,000 points: {time.process_time() - began:.2f} CPU seconds, {found}")


if __name__ == "__main__":
    main()
