"""The loss table: every row of a short log, the telling ones of a long one."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence

from sweeper.curves import Finding, FindingKind, Point
from sweeper.curves.noise import difference_sigma
from sweeper.curves.spike import MIN_POINTS_FOR_SIGMA
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnosis import TimelineRow
from sweeper.diagnosis.excursion import RISING_KINDS, Losses, Rise, main_rises, rises_in
from sweeper.diagnosis.rate import logged_rate, scheduled_rate

MAX_ROWS = 30
# Smaller changes than this fraction of the loss are called flat.
_FLAT = 0.005
_NOISY = 0.05  # and so are changes within the noise, up to this fraction
_STRETCHES = {
    FindingKind.PLATEAU: "plateau",
    FindingKind.OVERFIT: "overfitting",
    FindingKind.THROUGHPUT_DROP: "slow",
    FindingKind.NEVER_LEARNED: "not learning",
    FindingKind.WEIGHTS_NOT_UPDATING: "weights not updating",
    FindingKind.EVAL_NOT_TRACKING: "evaluation stale",
    FindingKind.DIVERGENCE: "diverging",
}


def build_timeline(case: Case, max_rows: int = MAX_ROWS) -> tuple[TimelineRow, ...]:
    """The rows, each with its change against the row shown before it."""
    losses = case.losses
    shown = choose_points(case, losses, max_rows)
    spikes = [
        (finding, rise)
        for finding in main_rises(case)
        if finding.kind is FindingKind.SPIKE
        for rise in rises_in(losses, finding)
    ]
    series = losses["train_loss"].values
    noise = difference_sigma(series) if len(series) >= MIN_POINTS_FOR_SIGMA else 0.0
    rows = []
    for index, point in enumerate(shown):
        change = _change(shown[:index], point)
        belongs = [finding for finding in case.findings if covers(finding, point.step)]
        rows.append(
            TimelineRow(
                step=point.step,
                train_loss=point.train_loss,
                val_loss=point.val_loss,
                change=change,
                learning_rate=_rate(case, point),
                status=_status(case, point, change, noise, spikes),
                is_bad=bool(belongs),
            )
        )
    return tuple(rows)


def choose_points(case: Case, losses: Losses, max_rows: int = MAX_ROWS) -> list[Point]:
    """All points with a loss, or an even choice of them around those of the events."""
    points = [p for p in case.curve if p.train_loss is not None or p.val_loss is not None]
    if len(points) <= max_rows:
        return points
    positions = [point.step for point in points]
    chosen = {0, len(points) - 1}
    for step in _event_steps(case, losses):
        if len(chosen) >= 2 * max_rows // 3:
            break
        chosen.add(min(bisect.bisect_left(positions, step), len(points) - 1))
    free = max_rows - len(chosen)
    first, last = positions[0], positions[-1]
    for index in range(1, free + 1):
        target = first + (last - first) * index / (free + 1)
        chosen.add(_best_near(points, positions, target, (last - first) / (2 * (free + 1))))
    return [points[index] for index in sorted(chosen)]


def _event_steps(case: Case, losses: Losses) -> Iterator[int]:
    """Onset, peak, end and neighbours of the events, the largest first."""
    for finding in sorted(case.findings, key=lambda finding: -abs(finding.severity)):
        yield finding.start_step
        for rise in rises_in(losses, finding) if finding.kind in RISING_KINDS else ():
            yield rise.peak_step
            yield rise.before_step
            if rise.after_step is not None:
                yield rise.after_step
        yield finding.end_step


def _best_near(
    points: Sequence[Point], positions: Sequence[int], target: float, reach: float
) -> int:
    """The point nearest to a step; within reach one with both losses goes first."""
    low = bisect.bisect_left(positions, target - reach)
    high = max(bisect.bisect_right(positions, target + reach), low + 1)
    near = range(max(min(low, len(points) - 1), 0), min(high, len(points)))
    return min(
        near or range(min(low, len(points) - 1), len(points)),
        key=lambda index: (
            points[index].train_loss is None or points[index].val_loss is None,
            abs(positions[index] - target),
        ),
    )


def _change(before: Sequence[Point], point: Point) -> float | None:
    if not before:
        return None
    for name in ("train_loss", "val_loss"):
        old, new = getattr(before[-1], name), getattr(point, name)
        if old is not None and new is not None:
            change = float(new - old)
            return change if math.isfinite(change) else None
    return None


def _rate(case: Case, point: Point) -> float | None:
    if point.learning_rate is not None:
        return point.learning_rate
    scheduled = scheduled_rate(case.config, point.step)
    return scheduled if scheduled is not None else logged_rate(case.curve, point.step)


def _status(
    case: Case,
    point: Point,
    change: float | None,
    noise: float,
    spikes: Sequence[tuple[Finding, Rise]],
) -> str:
    losses = [v for v in (point.train_loss, point.val_loss) if v is not None]
    if not all(map(math.isfinite, losses)):
        return "no number"
    spike = _spike_status(point, spikes)
    words = [spike or _movement(point, change, noise)]
    for finding in case.findings:
        word = _STRETCHES.get(finding.kind)
        if word and covers(finding, point.step):
            words.append(word + (" begins" if point.step == finding.start_step else ""))
    return ", ".join(dict.fromkeys(words))


def covers(finding: Finding, step: int) -> bool:
    """Whether a step belongs to a finding; a change of speed begins after its first step."""
    first = finding.start_step + (finding.kind is FindingKind.THROUGHPUT_DROP)
    return first <= step <= finding.end_step


def _spike_status(point: Point, spikes: Sequence[tuple[Finding, Rise]]) -> str:
    for finding, rise in spikes:
        if finding.start_step <= point.step <= rise.elevated_steps[-1]:
            return "spike, above the start" if rise.is_above_start else "spike"
        if rise.after_step is not None and finding.start_step <= point.step < rise.after_step:
            return "coming back"
    return "recovered" if any(point.step == rise.after_step for _, rise in spikes) else ""


def _movement(point: Point, change: float | None, noise: float) -> str:
    if change is None:
        return "start"
    level = abs(point.train_loss if point.train_loss is not None else point.val_loss or 0.0)
    flat = max(_FLAT * level, min(2 * math.sqrt(2) * noise, _NOISY * level))
    if abs(change) <= flat:
        return "flat"
    if change < 0:
        return "falling"
    return "rising slightly" if change <= 0.02 * level else "rising"
