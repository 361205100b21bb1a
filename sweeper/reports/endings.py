"""How a single run ended: a reproduction's verdict, a training's result."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from sweeper.curves import Curve, Point, Stop, StopReason
from sweeper.reports import words
from sweeper.training.reproduction import Reproduction

_LEFT = ("manifest.json", "curve.jsonl", "output.log", "checkpoint/", "adapter/")


def verdict(number: int, again: Reproduction) -> RenderableType:
    """Whether a trial that was trained again came out the same, and what differs if not."""
    comparison = again.comparison
    style = "bold green" if again.is_same else "bold red"
    parts = [
        Text.assemble(f"Trial {number}: ", (comparison.sameness.value, style)),
        Text(
            f"validation loss {words.nats(again.expected_val_loss)} recorded, "
            f"{words.nats(again.found_val_loss)} now; {comparison.num_points} points compared"
        ),
    ]
    if comparison.first_difference:
        parts += [
            Text(f"first difference: {comparison.first_difference}"),
            Text(
                f"largest difference of a loss: {comparison.largest_difference:.2e} nats "
                f"(tolerance {comparison.tolerance_nats:.0e})"
            ),
        ]
    parts += [Text(f"changed since: {words.clean(line)}") for line in again.changed]
    if comparison.first_difference and not again.changed:
        parts.append(
            Text("no fingerprint changed: all that was recorded of its origin is the same")
        )
    return Group(*parts)


def run_ending(curve: Curve, stop: Stop, folder: Path) -> RenderableType:
    """How a single run ended, and where it lies."""
    last = curve.points[-1] if curve.points else Point(step=0, tokens=0)
    left = [name for name in _LEFT if (folder / name.rstrip("/")).exists()]
    style = "bold green" if stop.reason is StopReason.COMPLETED else "bold yellow"
    return Group(
        Text.assemble((words.stop_words(stop.reason), style), f": {words.clean(stop.evidence)}"),
        Text(
            f"validation loss {words.nats(curve.last_val_loss)} after step {last.step}, "
            f"{words.count(last.tokens)} tokens, {words.duration(last.seconds)}"
        ),
        Text(f"{words.clean(folder)}: {', '.join(left)}"),
    )
