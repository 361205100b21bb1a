"""Stretches of constant speed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sweeper.curves import FindingKind, Point
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnosis import SpeedSegment


@dataclass(frozen=True)
class _Interval:
    start_step: int
    end_step: int
    step_seconds: float


def speed_segments(case: Case) -> tuple[SpeedSegment, ...]:
    """The log cut where the speed changed, by the findings of the shared detector."""
    intervals = list(_intervals(case.curve.points))
    if not intervals:
        return ()
    cuts = {
        step
        for finding in case.of_kind(FindingKind.THROUGHPUT_DROP)
        for step in (finding.start_step, finding.end_step)
    }
    parts: list[list[_Interval]] = [[]]
    for interval in intervals:
        if parts[-1] and interval.start_step in cuts:
            parts.append([])
        parts[-1].append(interval)
    return tuple(_segments(case, parts))


def _intervals(points: Sequence[Point]) -> Iterator[_Interval]:
    """Stretches between points that say how long a step took."""
    for before, point in itertools.pairwise(points):
        seconds = point.step_seconds
        if seconds is not None and math.isfinite(seconds) and seconds > 0:
            yield _Interval(before.step, point.step, seconds)


def _segments(case: Case, parts: list[list[_Interval]]) -> Iterator[SpeedSegment]:
    before: float | None = None
    per_step = case.config.tokens_per_step
    for part in parts:
        seconds = float(np.median([interval.step_seconds for interval in part]))
        yield SpeedSegment(
            start_step=part[0].start_step,
            end_step=part[-1].end_step,
            step_seconds=seconds,
            tokens_per_second=None if per_step is None else per_step / seconds,
            change=None if before is None else before / seconds - 1,
        )
        before = seconds
