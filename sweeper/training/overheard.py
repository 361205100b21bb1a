"""What an interrupted command had said and nobody had written into the curve.

A command's output goes straight into its log. Whoever reads it may be killed at any time, and holds
a step in hand until the next begins; a script that goes on by itself does not say those again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sweeper.curves import Curve, Point
from sweeper.training.command_manifest import CommandPlan
from sweeper.training.gathering import Gathering, merged
from sweeper.training.output import Output


def with_the_unread(curve: Curve, log: Path, plan: CommandPlan) -> Curve:
    """A curve with the steps that only its command's log has.

    Args:
        curve: As far as it was written down.
        log: All that the command has written, in all its attempts.
        plan: What it was told.

    Returns:
        The curve, its last step with all its parts, and the later steps of the last attempt. When
        they came is not known: they have the seconds of the last that was written down.
    """
    if not log.is_file():
        return curve
    points = list(curve.points)
    seconds = points[-1].seconds or 0.0 if points else 0.0
    for point in _last_attempt(_read(log, plan, seconds)):
        if points and point.step == points[-1].step:
            points[-1] = merged(points[-1], replace(point, seconds=None))
        elif not points or point.step > points[-1].step:
            points.append(replace(point, seconds=seconds))
    return Curve(tuple(points))


def _read(log: Path, plan: CommandPlan, seconds: float) -> list[Point]:
    output = Output(plan.engine)
    gathering = Gathering(plan.hyperparameters.tokens_per_step, lambda _: seconds)
    lines = log.read_bytes().rpartition(b"\n")[0] + b"\n"  # half a number is another number
    return [*gathering.add(output.take(lines)), *gathering.flush()]


def _last_attempt(points: list[Point]) -> list[Point]:
    """The points after the last place where steps go back."""
    begin = max(
        (n for n in range(1, len(points)) if points[n].step <= points[n - 1].step), default=0
    )
    return points[begin:]


def end_line(log: Path) -> None:
    """End a line in which a command was killed, so that the next one's is a line of its own."""
    if not log.is_file() or not log.stat().st_size:
        return
    with log.open("rb+") as file:
        file.seek(-1, 2)
        if file.read(1) not in b"\r\n":
            file.write(b"\n")
