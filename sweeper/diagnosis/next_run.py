"""The one run to do next: a command, what to expect of it, and what would refute the advice."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, RunConfig
from sweeper.diagnosis.diagnosis import ProposedTest, Recommendation
from sweeper.diagnosis.excursion import SERIES_WORDS, main_rises, rises_in
from sweeper.diagnosis.last_good import first_damage
from sweeper.diagnosis.outlook import Outlook, predict_unchanged
from sweeper.diagnosis.spelling import value_text, variable_text
from sweeper.study import Hyperparameters
from sweeper.study.engine import DEFAULT_VARIABLES

_ALWAYS_SHOWN = ("block_size", "batch_size", "accumulation", "learning_rate", "schedule")
_USUAL_SCRIPT = "python training.py"
_OTHER_SEED = 18


def propose_test(
    case: Case, recommendations: Sequence[Recommendation], command: str | None = None
) -> ProposedTest | None:
    """The first advice that is a change, alone: a run that changes two things names no cause.

    Where no advice changes a hyperparameter, a break is tested by the same run with another seed.

    Args:
        case: The run.
        recommendations: By priority.
        command: How the user starts a run; None where nobody said.

    Returns:
        None where nothing is wrong, or nothing that another run could tell.
    """
    if not case.findings:
        return None
    chosen = next((r for r in recommendations if effective_change(case.config, r)), None)
    if chosen is None:
        damage = first_damage(case)
        return _repetition(case, damage, command) if damage is not None else None
    change = effective_change(case.config, chosen)
    horizon = choose_horizon(case)
    outlook = predict_unchanged(case, horizon)
    return ProposedTest(
        command=command_line(case, change, horizon, command),
        expected=_expected(case, chosen, outlook, horizon),
        low=outlook.low if outlook else None,
        high=outlook.high if outlook else None,
        basis=_basis(case, change, outlook),
        refuted_by=chosen.advice.refuted_by,
        remark=_remark(case, change, command),
    )


def _repetition(case: Case, damage: Finding, command: str | None) -> ProposedTest:
    """The same run with other batches: does the break come again?"""
    seed = case.config.number("seed")
    change = {"seed": _OTHER_SEED if seed is None else int(seed) + 1}
    what = phrases.KIND_WORDS[damage.kind]
    return ProposedTest(
        command=command_line(case, change, choose_horizon(case), command),
        expected=(
            f"With other batches: no {what} near step {damage.start_step:,} points to the data it "
            "read there, the same again points to the settings or the code."
        ),
        low=None,
        high=None,
        basis="no loss is foretold: the question is whether the break comes again",
        refuted_by=f"The {what} comes at another step: then neither explains it.",
        remark=_remark(case, change, command),
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


def _remark(case: Case, change: Mapping[str, object], command: str | None) -> str:
    alone = "one change at a time; the emitted study tests the others as well"
    if case.is_trial and command is None:
        return alone
    read = phrases.joined([DEFAULT_VARIABLES[name] for name in change])
    whose = "your script" if command else "a script such as training.py"
    return f"{alone}. It tells only if {whose} reads {read} from its environment"


def _expected(case: Case, chosen: Recommendation, outlook: Outlook | None, horizon: int) -> str:
    is_for_speed = chosen.advice.expect.startswith("speed")
    if outlook is None:
        return _criterion(case, is_for_speed, horizon)
    interval = f"{phrases.loss(outlook.low)} to {phrases.loss(outlook.high)}"
    words = SERIES_WORDS[outlook.series]
    if is_for_speed:
        return (
            f"More tokens per second than here; the {words} loss may stay at {interval}, for speed "
            "does not change it."
        )
    damage = first_damage(case)
    if damage is not None and not damage.recovered:
        return (
            f"If it holds, the {words} loss at step {horizon:,} is {interval}, where this run was "
            f"heading before step {damage.start_step:,}; above {phrases.loss(outlook.high)} the "
            "advice is wrong."
        )
    return (
        f"If the advice is wrong, the {words} loss ends at {interval}, as this run's own does; "
        f"below {phrases.loss(outlook.low)} it helped."
    )


def _criterion(case: Case, is_for_speed: bool, horizon: int) -> str:
    """What to look for where no interval has a basis."""
    if is_for_speed:
        return "More tokens per second than in this log."
    losses = case.losses
    for finding in main_rises(case):
        for rise in rises_in(losses, finding):
            halfway = phrases.loss((rise.base + rise.peak) / 2)
            return (
                f"It helped if no {SERIES_WORDS[rise.series]} loss up to step {horizon:,} is above "
                f"{halfway}, half the height of this run's {phrases.KIND_WORDS[finding.kind]}."
            )
    if case.of_kind(FindingKind.OVERFIT) and len(losses["val_loss"]):
        best = phrases.loss(float(losses["val_loss"].values.min()))
        return f"It helped if the validation loss falls below {best}, the best of this run."
    if case.of_kind(FindingKind.NON_FINITE):
        return f"It helped if every loss up to step {horizon:,} is a number above 0."
    return "No interval: the log holds too little to foretell a loss."


def _basis(case: Case, change: Mapping[str, object], outlook: Outlook | None) -> str:
    if outlook is None:
        return "this log alone; outside of the trouble it is too short for an interval"
    if "block_size" in change and case.config.is_known("block_size"):
        block = phrases.setting(case.config.get("block_size"))
        return f"{outlook.basis}; comparable only if evaluated at block size {block} as before"
    return outlook.basis
