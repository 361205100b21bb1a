"""Which divergences to tell while a log still grows: a spike on its way down is none yet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sweeper.curves import Finding, FindingKind
from sweeper.curves.series import Series
from sweeper.diagnosis.case import Case

# What lasted for fewer points, or for a smaller share of the run, may still be passing.
_LEAST_POINTS = 8
_LEAST_SHARE = 0.1


def settled_findings(case: Case, told: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings without divergences that may yet turn out to be spikes.

    A finished log that ends high has diverged; one that grows may come back. The spike is told at
    once, the divergence that it began when the loss has stayed up and is not falling back.

    Args:
        case: The log so far.
        told: The findings as they were last told; a divergence among them is not held back again.
    """
    known = {finding.start_step for finding in told if finding.kind is FindingKind.DIVERGENCE}
    return tuple(
        finding
        for finding in case.findings
        if finding.kind is not FindingKind.DIVERGENCE
        or finding.start_step in known
        or _is_settled(case, finding)
    )


def _is_settled(case: Case, divergence: Finding) -> bool:
    """Whether the last spike before it does not explain it: long over, or up and not falling."""
    spikes = case.of_kind(FindingKind.SPIKE)
    earlier = [spike for spike in spikes if spike.start_step <= divergence.start_step]
    spike = max(earlier, key=lambda spike: spike.start_step, default=None)
    if spike is None:
        return True
    series = (
        case.losses["train_loss"] if len(case.losses["train_loss"]) else case.losses["val_loss"]
    )
    run_steps = _length(series)
    since = series.between(spike.end_step + 1 if spike.recovered else spike.start_step, math.inf)
    if len(since) < _LEAST_POINTS or _length(since) < _LEAST_SHARE * run_steps:
        return False
    return bool(spike.recovered) or _half_life_steps(since, spike.numbers["level"]) > run_steps


def _length(series: Series) -> int:
    return int(series.steps[-1] - series.steps[0])


def _half_life_steps(series: Series, base: float) -> float:
    """Steps in which the height over a base halves, at the pace between a series' two halves."""
    earlier, later = np.split(series.values - base, [len(series) // 2])
    before, now = float(np.median(earlier)), float(np.median(later))
    if now >= before:
        return math.inf
    return _length(series) / 2 / math.log2(before / now) if now > 0 else 0.0
