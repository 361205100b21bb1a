"""What the end of a command means: an exit code, its last words, and what it said before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sweeper.curves import Curve, Stop, StopReason
from sweeper.training.command_manifest import CommandPlan
from sweeper.training.output import Output

_KILLED = 137  # 128 + SIGKILL: what the kernel sends where memory runs out
_NO_MEMORY = re.compile(
    r"out of memory|MemoryError|can't allocate memory|Cannot allocate memory|Invalid buffer size"
)
_SHOWN_LINES = 3
_SHOWN_CHARACTERS = 400
_WHOLE = 0.95  # of its steps; a last step that is not printed is no shortfall


def ending_of(plan: CommandPlan, exit_code: int, curve: Curve, output: Output, place: Path) -> Stop:
    """Why a command ended that nobody asked to.

    Args:
        plan: What it was told.
        exit_code: 0 for success; 128 and more for a signal.
        curve: What it said.
        output: What it wrote.
        place: Where it ran; its path is left out of what is quoted.
    """
    lines = [line.replace(f"{place.resolve()}/", "") for line in output.last_lines]
    if exit_code != 0:
        return _failure(exit_code, lines)
    if curve.last_val_loss is None:
        return Stop(StopReason.ERROR, _nothing_found(plan, curve, lines))
    return Stop(StopReason.COMPLETED, _completion(plan, curve))


def _failure(exit_code: int, lines: Sequence[str]) -> Stop:
    reason = StopReason.ERROR
    if exit_code == _KILLED or any(map(_NO_MEMORY.search, lines)):
        reason = StopReason.OUT_OF_MEMORY
    killed = " (killed: memory ran out, or somebody did)" if exit_code == _KILLED else ""
    return Stop(reason, f"the command ended with exit code {exit_code}{killed}{_quote(lines)}")


def _quote(lines: Sequence[str]) -> str:
    if not lines:
        return "; it wrote nothing"
    return f"; its last words: {' | '.join(lines[-_SHOWN_LINES:])[-_SHOWN_CHARACTERS:]}"


def _nothing_found(plan: CommandPlan, curve: Curve, lines: Sequence[str]) -> str:
    metrics = plan.engine.metrics
    looked_for = {
        "auto": "a step with a validation loss in any known form, such as "
        "`step 500: train loss 6.95, val loss 7.13`",
        "jsonl": 'lines of JSON such as {"step": 500, "val_loss": 7.13}',
        "regex": f"lines that match engine.pattern, {plan.engine.pattern}",
    }[metrics]
    found = "training losses only" if len(curve) else "none of it"
    remedy = {
        "auto": "print one, or describe the lines with engine.metrics: regex and engine.pattern",
        "jsonl": "print one, or let engine.metrics be auto",
        "regex": "compare engine.pattern with the output",
    }[metrics]
    return (
        f"the command ended well but gave no validation loss. Looked for {looked_for}; found "
        f"{found}. Next: {remedy}{_quote(lines)}"
    )


def _completion(plan: CommandPlan, curve: Curve) -> str:
    last, total = curve.points[-1].step, plan.course.total_steps
    if total * _WHOLE - 1 <= last <= total / _WHOLE + 1:
        return "the command ran to its end"
    variable = plan.engine.variables["total_steps"]
    return (
        f"the command ran to its end at step {last:,}, though it was told {total:,} steps in "
        f"{variable}; trials are comparable only if it obeys"
    )
