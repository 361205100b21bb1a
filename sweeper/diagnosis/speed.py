"""Stretches of constant speed, as the shared detector cuts them."""

from __future__ import annotations

from sweeper.curves.throughput import find_speed_stretches
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnosis import SpeedSegment


def speed_segments(case: Case) -> tuple[SpeedSegment, ...]:
    """The log cut where the speed changed for good; none where no times were logged."""
    per_step = case.config.tokens_per_step
    segments: list[SpeedSegment] = []
    for stretch in find_speed_stretches(case.curve):
        before = segments[-1].step_seconds if segments else None
        segments.append(
            SpeedSegment(
                start_step=stretch.start_step,
                end_step=stretch.end_step,
                step_seconds=stretch.step_seconds,
                tokens_per_second=None if per_step is None else per_step / stretch.step_seconds,
                change=None if before is None else before / stretch.step_seconds - 1,
            )
        )
    return tuple(segments)
