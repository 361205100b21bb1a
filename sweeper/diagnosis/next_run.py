"""The one run to do next: a command, what to expect of it, and what would refute the advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from sweeper.curves import FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, RunConfig
from sweeper.diagnosis.diagnosis import ProposedTest, Recommendation
from sweeper.diagnosis.excursion import SERIES_WORDS, main_rises, rises_in
from sweeper.diagnosis.invocation import choose_horizon, command_line, remark_on
from sweeper.diagnosis.last_good import first_damage
from sweeper.diagnosis.outlook import Outlook, predict_unchanged
from sweeper.diagnosis.rerun import repeat_run
from sweeper.study import Hyperparameters


def propose_test(
    case: Case, recommendations: Sequence[Recommendation], command: str | None = None
) -> ProposedTest | None:
    """The first advice that is a change, alone: a run that changes two things names no cause.

    Where no advice changes a hyperparameter, the same run is repeated: what it then does tells
    the data from the settings, or whether the first advice was the right one.

    Args:
        case: The run.
        recommendations: By priority.
        command: How the user starts a run; None where nobody said.

    Returns:
        None where nothing is wrong.
    """
    if not case.findings:
        return None
    chosen = next((r for r in recommendations if effective_change(case.config, r)), None)
    if chosen is None:
        return repeat_run(case, command)
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
        remark=remark_on(case, change, command),
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
