"""How often something happens, from a count: the interval of a proportion."""

from __future__ import annotations

from scipy.special import betaincinv


def proportion_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a binomial proportion (Clopper and Pearson 1934, Biometrika 26).

    It covers the true proportion at least as often as its level says, however few the trials.

    Args:
        successes: From 0 to `trials`.
        trials: 0 or more; of none, nothing is known.
        level: Between 0 and 1.
    """
    assert 0 <= successes <= trials, "successes are among the trials"
    tail, failures = (1 - level) / 2, trials - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return low, high
