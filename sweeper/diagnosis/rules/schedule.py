"""What the schedule explains: the end of its warmup, or of its decay."""

from __future__ import annotations

import numpy as np

from sweeper.curves.series import Series
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.excursion import LATEST_START_STEP
from sweeper.diagnosis.rate import rate_at, warmup_end
from sweeper.diagnosis.readings import main_plateau, main_surge, peak_rate, previous_step, surges
from sweeper.diagnosis.remedies import proposed, rounded
from sweeper.diagnosis.verdicts import (
    NO_PLATEAU,
    NO_SPIKE,
    contradicted,
    lacking_setting,
    supported,
)

_WARMUP_MARGIN = 0.2
_EXHAUSTED = 0.1


def _decide_warmup_end(case: Case) -> Decision:
    events = surges(case)
    if not events:
        return contradicted(0.9, NO_SPIKE)
    end = _warmup_end(case)
    if end is None:
        return lacking_setting("warmup", "with learning_rate, schedule and total_steps")
    if end <= 0:
        return contradicted(0.9, "There is no warmup.")
    near = ((1 - _WARMUP_MARGIN) * end, (1 + _WARMUP_MARGIN) * end)
    onsets = [(previous_step(case.curve, e.start_step), e.start_step) for e in events]
    hits = [(a, b) for a, b in onsets if b >= near[0] and (b - 1 if a is None else a) < near[1]]
    shown = [f"({b - 1 if a is None else a:,}, {b:,}]" for a, b in (hits or onsets)[:3]]
    where = (
        f"The warmup ends at step {end:,}; the onset lies in {phrases.joined(shown)}, "
        f"{'within' if hits else 'outside'} 20 % of that"
    )
    if not hits:
        return contradicted(0.85, f"{where}.", warmup_end=end)
    width = min(b - a for a, b in hits if a is not None) if hits[0][0] is not None else 1
    if width > near[1] - near[0]:
        return supported(0.2, f"{where}, but the log is too coarse to place it.", warmup_end=end)
    return supported(0.4, f"{where}: the rate has just reached its peak there.", warmup_end=end)


def _warmup_end(case: Case) -> int | None:
    """By configuration; else where the logged rate, risen from less than half, first peaks."""
    configured = warmup_end(case.config)
    if configured is not None:
        return configured
    rates = Series.of(case.curve, "learning_rate")
    if len(rates) < 3:
        return None
    peak = float(np.max(rates.values))
    if rates.values[0] < 0.5 * peak:
        return int(rates.steps[np.argmax(rates.values >= 0.999 * peak)])
    return 0 if rates.steps[0] <= LATEST_START_STEP else None


def _advise_warmup(case: Case, decision: Decision) -> tuple[Advice, ...]:
    end = int(decision.numbers.get("warmup_end", 0))
    peak = case.config.number("learning_rate")
    lower = {"learning_rate": rounded(0.5 * peak)} if peak else {}
    return proposed(
        Advice(
            id="longer-warmup",
            title=f"Warm up twice as long ({2 * end:,} steps), to half the peak",
            reason=f"{decision.evidence[0]} A slower rise lets Adam's second moments settle first.",
            refuted_by="The spike comes at the same tokens with the longer warmup.",
            change={"warmup": 2 * end, **lower},
            urgency=3,
            expect="val_loss < baseline",
        )
    )


def _decide_exhausted(case: Case) -> Decision:
    plateau, peak = main_plateau(case), peak_rate(case)
    if plateau is None:
        return contradicted(0.9, NO_PLATEAU)
    steps = np.unique(np.linspace(plateau.start_step, plateau.end_step, 21).astype(int))
    rates = [rate_at(case, int(step)) for step in steps]
    shares = [rate / peak for rate in rates if rate is not None and peak]
    if not shares:
        return lacking_setting("schedule", "with learning_rate and total_steps, or log the rate")
    low = sum(share < _EXHAUSTED for share in shares) / len(shares)
    text = (
        f"The loss is flat from step {plateau.start_step:,} to {plateau.end_step:,}; the rate goes "
        f"from {100 * shares[0]:.0f} % to {100 * shares[-1]:.0f} % of its peak there"
        f"{_share_at_surge(case, peak)}"
    )
    numbers = {"first_share": shares[0], "last_share": shares[-1], "share_below_tenth": low}
    if low >= 0.5:
        return supported(0.6, f"{text}: most of it below a tenth.", **numbers)
    if low > 0:
        return supported(0.25, f"{text}: below a tenth only at its end.", **numbers)
    return contradicted(0.9, f"{text}: never below a tenth.", **numbers)


def _share_at_surge(case: Case, peak: float | None) -> str:
    event = main_surge(case)
    rate = rate_at(case, event.start_step) if event else None
    if event is None or rate is None or not peak:
        return ""
    return f" ({100 * rate / peak:.0f} % at step {event.start_step:,})"


def _advise_exhausted(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="constant-schedule",
            title="Hold the rate constant after the warmup",
            reason=f"{decision.evidence[0]} With a tenth of the rate a step moves a tenth as far.",
            refuted_by="The loss stays as flat at the full rate.",
            change={"schedule": "constant"},
            urgency=2,
            expect="val_loss < baseline",
        )
    )


WARMUP_END = Rule(
    id="warmup-end",
    title="The end of the warmup set it off",
    needs=(Evidence.LOG,),
    decide=_decide_warmup_end,
    cannot_show="Whether the two only coincide.",
    experiment="Move the end of the warmup: a spike that moves with it names it.",
    advise=_advise_warmup,
)
SCHEDULE_EXHAUSTED = Rule(
    id="schedule-exhausted",
    title="The schedule has used up the learning rate",
    needs=(Evidence.LOG,),
    decide=_decide_exhausted,
    cannot_show="Whether more rate would help, or the model can learn no more.",
    experiment="Go on from the plateau at the full rate for a tenth of the run.",
    advise=_advise_exhausted,
    explains_stall=True,
)
