"""The one run to do next: a command, what to expect of it, and what would refute the advice."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from sweeper.curves import FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, RunConfig
from sweeper.diagnosis.diagnosis import ProposedTest, Recommendation
from sweeper.diagnosis.excursion import RISING_KINDS, SERIES_WORDS, losses_of, rises_in
from sweeper.diagnosis.outlook import Outlook, predict_unchanged
from sweeper.diagnosis.spelling import variable_text
from sweeper.study import Hyperparameters
from sweeper.study.engine import DEFAULT_VARIABLES

_ALWAYS_SHOWN = ("block_size", "batch_size", "accumulation", "learning_rate", "schedule")
_USUAL_SCRIPT = "python training.py"


def propose_test(
    case: Case, recommendations: Sequence[Recommendation], command: str | None = None
) -> ProposedTest | None:
    """The first advice that is a change, alone: a run that changes two things names no cause.

    Args:
        case: The run.
        recommendations: By priority.
        command: How the user starts a run; None where nobody said.

    Returns:
        None where no advice changes a hyperparameter.
    """
    chosen = next((r for r in recommendations if effective_change(case.config, r)), None)
    if chosen is None:
        return None
    change = effective_change(case.config, chosen)
    horizon = choose_horizon(case)
    num_steps = _steps_of_test(case.config, change, horizon)
    outlook = predict_unchanged(case, horizon) if horizon else None
    return ProposedTest(
        command=_command_line(case, change, num_steps, command),
        expected=_expected(case, chosen, outlook, horizon),
        low=outlook.low if outlook else None,
        high=outlook.high if outlook else None,
        basis=_basis(case, change, outlook),
        refuted_by=chosen.advice.refuted_by,
    )


def effective_change(config: RunConfig, recommendation: Recommendation) -> dict[str, object]:
    """What of the advice is a change to this run; empty if nothing, or if it fits no run."""
    change = dict(recommendation.advice.change)
    try:
        wanted = Hyperparameters.model_validate(change)
        now = Hyperparameters.model_validate(
            {name: config.get(name) for name in change if config.is_known(name)}
        )
    except ValidationError:
        return {}
    return {
        name: getattr(wanted, name)
        for name in change
        if not config.is_known(name) or getattr(now, name) != getattr(wanted, name)
    }


def choose_horizon(case: Case) -> int:
    """Steps of this run after which the trouble had shown; 0 where nothing was logged."""
    steps = [point.step for point in case.curve]
    if not steps:
        return 0
    losses = losses_of(case.curve)
    needed = []
    for finding in case.findings:
        if finding.kind is FindingKind.PLATEAU:
            needed.append((finding.start_step + finding.end_step) // 2)
        elif finding.kind in RISING_KINDS:
            needed += [rise.after_step or finding.end_step for rise in rises_in(losses, finding)]
        else:
            needed.append(finding.end_step)
    return max(min(max(needed, default=steps[-1]), steps[-1]), 1)


def _steps_of_test(config: RunConfig, change: Mapping[str, object], horizon: int) -> int:
    """Steps that see as many tokens as this run had seen at the horizon."""
    changed = RunConfig({**config.values, **change})
    before, after = config.tokens_per_step, changed.tokens_per_step
    if before is None or after is None:
        return horizon
    return max(math.ceil(horizon * before / after), 1)


def _command_line(
    case: Case, change: Mapping[str, object], num_steps: int, command: str | None
) -> str:
    values = {
        name: case.config.get(name) for name in _ALWAYS_SHOWN if case.config.is_known(name)
    } | dict(change)
    if case.is_trial and command is None:
        settings = [f"--set {name}={shlex.quote(variable_text(v))}" for name, v in values.items()]
        return " ".join(["sweeper train", *settings, f"--steps {num_steps}"])
    told = {DEFAULT_VARIABLES["total_steps"]: str(num_steps)}
    told |= {DEFAULT_VARIABLES[name]: variable_text(value) for name, value in values.items()}
    words = [f"{name}={shlex.quote(value)}" for name, value in told.items()]
    return " ".join([*words, command or _USUAL_SCRIPT])


def _expected(case: Case, chosen: Recommendation, outlook: Outlook | None, horizon: int) -> str:
    if outlook is None:
        if chosen.advice.expect.startswith("speed"):
            return "More tokens per second than in this log; no loss can be foretold."
        return "No interval: the log holds too little to foretell a loss."
    interval = f"{phrases.loss(outlook.low)} to {phrases.loss(outlook.high)}"
    words = SERIES_WORDS[outlook.series]
    if chosen.advice.expect.startswith("speed"):
        return (
            f"More tokens per second; the {words} loss may stay at {interval}, "
            "for speed does not change it."
        )
    if outlook.is_flat:
        return (
            f"If the advice is wrong, the {words} loss ends at {interval}, as it did here; "
            f"below {phrases.loss(outlook.low)} it helped."
        )
    return (
        f"If nothing breaks, the {words} loss is {interval} after as many tokens as this run saw "
        f"by step {horizon:,}; above {phrases.loss(outlook.high)} the trouble is still there."
    )


def _basis(case: Case, change: Mapping[str, object], outlook: Outlook | None) -> str:
    if outlook is None:
        return "fewer than three usable points outside of the trouble"
    if "block_size" in change and case.config.is_known("block_size"):
        block = phrases.setting(case.config.get("block_size"))
        return f"{outlook.basis}; comparable only if evaluated at block size {block} as before"
    return outlook.basis
