"""What many simulated studies of one arm come to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sweeper.search.replay.simulation import Simulated

NUM_RESAMPLES = 2_000
NUM_MARKS = 24  # of the token axis
LEVEL = 0.95
_SEED = 4_711  # of the resamples: the same studies always give the same interval


@dataclass(frozen=True)
class Estimate:
    """A number over studies, with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """An arm over its studies; one study, of one seed, is the unit of replication.

    Attributes:
        num_studies: Studies.
        reached: Share of them that found a good recipe within their tokens.
        tokens_to_good: Mean tokens until one had completed; a study that found none counts with
            all its tokens, so the mean is too low where few reached.
        regrets: Mean distance from the best in nats at even distances up to all tokens, with
            the tokens; a study without a completed trial counts as far off as the worst of them.
        false_prunes: Of the pruned trials, the share that would have ended good.
        lost: Of the good trials that began, the share that was pruned.
        saved: Share of the tokens of all trials that was not trained.
        num_trials: Mean number of trials that the tokens sufficed for.
    """

    num_studies: int
    reached: Estimate
    tokens_to_good: Estimate
    regrets: tuple[tuple[int, Estimate], ...]
    false_prunes: Estimate
    lost: Estimate
    saved: Estimate
    num_trials: Estimate

    def regret_at(self, share: float) -> Estimate:
        """Regret once so much of the tokens was spent; a multiple of 1 / 24."""
        return self.regrets[round(share * NUM_MARKS) - 1][1]


def summarize(studies: Sequence[Simulated], tokens: int) -> Summary:
    """Estimates with intervals by the percentile bootstrap over studies.

    (Efron & Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.) A rate is that of
    sums over studies, and whole studies are drawn, since the trials of one hang together.

    Args:
        studies: One for each seed.
        tokens: What each of them could spend.
    """
    marks = [round(tokens * place / NUM_MARKS) for place in range(1, NUM_MARKS + 1)]
    return Summary(
        num_studies=len(studies),
        reached=_mean([float(math.isfinite(s.tokens_to_good)) for s in studies]),
        tokens_to_good=_mean([min(s.tokens_to_good, tokens) for s in studies]),
        regrets=tuple((mark, _regret([s.regret_at(mark) for s in studies])) for mark in marks),
        false_prunes=_rate(
            studies, lambda s: sum(map(s.is_good, s.pruned)), lambda s: len(s.pruned)
        ),
        lost=_rate(
            studies,
            lambda s: sum(map(s.is_good, s.pruned)),
            lambda s: sum(map(s.is_good, s.trials)),
        ),
        saved=_mean([s.saved_share for s in studies]),
        num_trials=_mean([float(len(s.trials)) for s in studies]),
    )


def _mean(values: Sequence[float]) -> Estimate:
    return _ratio(values, [1.0] * len(values))


def _regret(values: Sequence[float]) -> Estimate:
    worst = max((v for v in values if math.isfinite(v)), default=math.nan)
    return _mean([v if math.isfinite(v) else worst for v in values])


def _rate(
    studies: Sequence[Simulated],
    part: Callable[[Simulated], int],
    whole: Callable[[Simulated], int],
) -> Estimate:
    return _ratio([part(s) for s in studies], [whole(s) for s in studies])


def _ratio(parts: Sequence[float], wholes: Sequence[float]) -> Estimate:
    """Sum over sum; NaN where there is nothing to divide by."""
    parts_n, wholes_n = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    if not wholes_n.sum():
        return Estimate(math.nan, math.nan, math.nan)
    generator = np.random.default_rng(_SEED)
    drawn_Mn = generator.integers(0, len(parts_n), (NUM_RESAMPLES, len(parts_n)))
    below_M = wholes_n[drawn_Mn].sum(axis=1)
    ratios = parts_n[drawn_Mn].sum(axis=1)[below_M > 0] / below_M[below_M > 0]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return Estimate(float(parts_n.sum() / wholes_n.sum()), float(low), float(high))
