"""How a run is started again: one shell command with the run's own settings and a change."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping

from sweeper.curves import FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, RunConfig
from sweeper.diagnosis.excursion import rises_in
from sweeper.diagnosis.spelling import value_text, variable_text
from sweeper.study.engine import DEFAULT_VARIABLES

_ALWAYS_SHOWN = ("block_size", "batch_size", "accumulation", "learning_rate", "schedule")
_USUAL_SCRIPT = "python training.py"


def choose_horizon(case: Case) -> int:
    """Steps of this run after which the trouble had shown: half of it at least."""
    last = max((point.step for point in case.curve), default=1)
    losses = case.losses
    needed = [last // 2]
    for finding in case.findings:
        if finding.kind is FindingKind.PLATEAU:
            needed.append((finding.start_step + finding.end_step) // 2)
        elif finding.kind is FindingKind.SPIKE and finding.recovered:
            needed += [rise.after_step or finding.end_step for rise in rises_in(losses, finding)]
        else:
            needed.append(finding.end_step)
    return max(min(max(needed), last), 1)


def steps_of_test(config: RunConfig, change: Mapping[str, object], horizon: int) -> int:
    """Steps that see as many tokens as this run had seen at the horizon."""
    changed = RunConfig({**config.values, **change})
    before, after = config.tokens_per_step, changed.tokens_per_step
    if not before or not after:
        return horizon
    return max(math.ceil(horizon * before / after), 1)


def command_line(
    case: Case, change: Mapping[str, object], horizon: int, command: str | None
) -> str:
    """One shell command: the run's own settings with the change, for as many tokens."""
    known = {name: case.config.get(name) for name in _ALWAYS_SHOWN if case.config.is_known(name)}
    values = known | dict(change)
    num_steps = steps_of_test(case.config, change, horizon)
    if case.is_trial and command is None:
        settings = [
            f"--set {shlex.quote(f'{name}={value_text(value)}')}" for name, value in values.items()
        ]
        return " ".join(["sweeper train", *settings, f"--steps {num_steps}"])
    told = {DEFAULT_VARIABLES["total_steps"]: str(num_steps)}
    told |= {DEFAULT_VARIABLES[name]: variable_text(value) for name, value in values.items()}
    words = [f"{name}={shlex.quote(value)}" for name, value in told.items()]
    return " ".join([*words, command or _USUAL_SCRIPT])


def remark_on(case: Case, change: Mapping[str, object], command: str | None) -> str:
    """What to know before running the command."""
    alone = "one change at a time; the emitted study tests the others as well"
    if case.is_trial and command is None:
        return alone
    read = phrases.joined([DEFAULT_VARIABLES[name] for name in change])
    whose = "your script" if command else "a script such as training.py"
    return f"{alone}. It tells only if {whose} reads {read} from its environment"
