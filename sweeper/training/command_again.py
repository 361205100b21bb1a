"""Runs a recorded command again from its manifest, in the manifest's folder."""

from __future__ import annotations

from pathlib import Path

from sweeper.curves import Point, Stop, StopReason
from sweeper.errors import SweeperError
from sweeper.training.command import run_command
from sweeper.training.command_manifest import CommandManifest, read_command_manifest
from sweeper.training.command_program import check_command
from sweeper.training.interruption import interruptible
from sweeper.training.outcome import Outcome
from sweeper.training.trainer import Observe
from sweeper.training.watches import Lookout, Shown

_FAILED = (StopReason.ERROR, StopReason.OUT_OF_MEMORY)
_BY_ITSELF = (StopReason.COMPLETED, *_FAILED)


def run_command_manifest(path: Path, *, observe: Observe) -> Outcome:
    """Run the command of a manifest again.

    Raises:
        CheckpointError: The manifest is damaged.
        UsageError: The command cannot be started any more.
        SweeperError: It failed, and had not failed before.
    """
    manifest = read_command_manifest(path)
    plan = manifest.plan
    check_command(plan.engine, path.parent / plan.folder)

    def show(point: Point) -> None:
        observe(point, plan.course.total_tokens)

    with interruptible() as interrupt:
        watch = Shown(Lookout(_recorded_end(manifest)), show)
        outcome = run_command(plan, path.parent, watch, interrupt, manifest.trial)
    before = manifest.result.stop_reason if manifest.result else None
    if outcome.stop.reason in _FAILED and outcome.stop.reason.value != before:
        raise SweeperError(outcome.stop.evidence)
    return outcome


def _recorded_end(manifest: CommandManifest) -> tuple[int, Stop] | None:
    """The last step of a run that did not end by itself, and why it ended there."""
    result = manifest.result
    if result is None or StopReason(result.stop_reason) in _BY_ITSELF:
        return None
    return result.last_step, Stop(StopReason(result.stop_reason), result.evidence)
