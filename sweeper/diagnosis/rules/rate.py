"""What the learning rate explains: too high, or too low."""

from __future__ import annotations

import numpy as np

from sweeper.curves import Finding
from sweeper.curves.series import Series
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.rate import rate_at, steps_into_decay
from sweeper.diagnosis.readings import (
    gradient_jump,
    gradients_are_placeholders,
    main_break,
    main_plateau,
    peak_rate,
    previous_step,
    summed_rate,
    trains_adapter,
)
from sweeper.diagnosis.remedies import (
    bigger_batch,
    logged_gradients,
    lowered_rate,
    proposed,
    raised_rate,
)
from sweeper.diagnosis.verdicts import (
    NO_PLATEAU,
    NOTHING_FELL_APART,
    contradicted,
    lacking_setting,
    supported,
    untestable,
)

# Peak rates of AdamW that people use: for LoRA (Hu et al. 2021, arXiv:2106.09685: 2e-4 for GPT-2),
# which wants about ten times that of full tuning, and for all weights of a pretrained model.
_ADAPTER_RATES = (1e-4, 1e-3)
_FULL_RATES = (1e-5, 1e-4)
_GROWING = 3.0
# A sum of rates with which nothing can have moved far, and a rate with which anything may.
_HARMLESS = 1e-5
_EXTREME = 0.1
# A whole log that gained less than this share of its first loss is shallow.
_SHALLOW = 0.03
_SHALLOW_POINTS = 8


def usual_rates(case: Case) -> tuple[float, float] | None:
    """The usual peak rates for what is trained; None where that is not known."""
    if trains_adapter(case.config):
        return _ADAPTER_RATES
    return _FULL_RATES if case.config.number("trained_parameters") else None


def _decide_too_high(case: Case) -> Decision:
    event, peak = main_break(case), peak_rate(case)
    if event is None:
        return contradicted(0.8, NOTHING_FELL_APART)
    step = event.start_step
    rate = rate_at(case, step)
    if peak is None or rate is None:
        return untestable(
            f"The rate at step {step:,} is not known: log it, or give learning_rate, schedule, "
            "warmup and total_steps with --config."
        )
    moved = summed_rate(case, step)
    if moved is not None and moved < _HARMLESS:
        return contradicted(
            0.85,
            f"The rates up to step {step:,} sum to {phrases.rate(moved)}: Adam cannot have moved "
            "any weight by much more, which breaks nothing.",
            sum_of_rates=moved,
        )
    reasons = [(0.2, _rate_at_event(case, step, rate, peak)), *_against_usual(case, rate, peak)]
    reasons += _by_course(case, event, rate, peak)
    reasons += _by_gradients(case, event)
    confidence = min(max(sum(weight for weight, _ in reasons), 0.1), 0.6)
    sentences = [text for _, text in reasons]
    if confidence <= 0.2:
        sentences.append("A weak suspect: only a twin at 0.3 times the rate could name it.")
    return supported(confidence, *sentences, rate=rate, peak=peak, fraction=rate / peak)


def _by_course(case: Case, event: Finding, rate: float, peak: float) -> list[tuple[float, str]]:
    """What the time around the event says."""
    reasons = []
    before = rate_at(case, previous_step(case.curve, event.start_step) or 0)
    if rate < 0.9 * peak and before is not None and before > rate:
        reasons.append((-0.05, "A rate that is falling is an unlikely moment for it."))
    if event.recovered is False:
        reasons.append((0.1, "The loss did not come back within this log."))
    plateau = main_plateau(case)
    if plateau is not None and plateau.start_step >= event.start_step:
        reasons.append((0.1, f"The loss is flat from step {plateau.start_step:,} on."))
    return reasons


def _rate_at_event(case: Case, step: int, rate: float, peak: float) -> str:
    text = (
        f"The rate at step {step:,} is {phrases.rate(rate)}, {100 * rate / peak:.0f} % of its peak"
    )
    since = steps_into_decay(case.config, step)
    if since:
        return f"{text}, and had been falling for {phrases.plural(since, 'step')}."
    return f"{text}."


def _against_usual(case: Case, rate: float, peak: float) -> list[tuple[float, str]]:
    usual = usual_rates(case)
    if usual is None:
        return [(0.15, "No rate of Adam is usually so high.")] if rate >= _EXTREME else []
    low, high = usual
    span = f"the usual {phrases.rate(low)} to {phrases.rate(high)} for what is trained"
    if rate > 3 * high:
        return [(0.25, f"That is far above {span}.")]
    if rate < low:
        return [(-0.1, f"That is below {span}.")]
    return []


def _by_gradients(case: Case, event: Finding) -> list[tuple[float, str]]:
    if gradients_are_placeholders(case.curve):
        return []
    jump = gradient_jump(case.curve, event)
    if jump is None or jump.ratio < _GROWING:
        return []
    return [
        (
            0.2,
            f"The gradient norm grew from {jump.usual:.3g} to {jump.peak:.3g} at step "
            f"{jump.peak_step:,}.",
        )
    ]


def _advise_too_high(case: Case, decision: Decision) -> tuple[Advice, ...]:
    urgency = 2 if decision.confidence > 0.3 else 4
    reason = (
        f"{decision.evidence[0]} If the rate did it, a twin at 0.3 times the rate does not spike; "
        "the log alone cannot tell."
    )
    return proposed(
        lowered_rate(case, reason, urgency), bigger_batch(case, urgency), logged_gradients()
    )


def _decide_too_low(case: Case) -> Decision:
    stuck = main_plateau(case)
    shallow = None if stuck else _shallow_gain(case)
    if stuck is None and shallow is None:
        return contradicted(0.6, f"{NO_PLATEAU} The loss is falling.")
    peak, usual = peak_rate(case), usual_rates(case)
    logged = Series.of(case.curve, "learning_rate").values
    if len(logged) >= _SHALLOW_POINTS and not np.any(logged):
        return supported(0.9, f"The logged rate is 0 at all {len(logged)} points.", peak=0.0)
    if peak is None:
        return lacking_setting("learning_rate", "or log the rate")
    if usual is None:
        return lacking_setting("rank", "or trained_parameters: what is trained tells which rate")
    low, high = usual
    compared = (
        f"The peak rate is {phrases.rate(peak)}, the usual ones for what is trained are "
        f"{phrases.rate(low)} to {phrases.rate(high)}"
    )
    if peak >= low:
        return contradicted(0.5, f"{compared}.", peak=peak, usual_low=low)
    ratio = low / peak
    sentences = [f"{compared}: {ratio:.3g} times below their lower end."]
    if shallow is not None:
        sentences.append(f"The whole log gained {100 * shallow:.1f} % of its first loss.")
    sentences += _reach(case)
    confidence = 0.3 + (0.1 if ratio >= 3 else 0.0) + (0.1 if ratio >= 30 else 0.0)
    return supported(confidence, *sentences, peak=peak, usual_low=low, ratio=ratio)


def _shallow_gain(case: Case) -> float | None:
    """The share of its first loss that a long log gained, where that is little; else None."""
    values = Series.of(case.curve, "val_loss").values
    if len(values) < _SHALLOW_POINTS:
        values = Series.of(case.curve, "train_loss").values
    if len(values) < _SHALLOW_POINTS or values[0] <= 0:
        return None
    gain = float((np.median(values[:3]) - np.median(values[-3:])) / values[0])
    return gain if 0 < gain < _SHALLOW else None


def _reach(case: Case) -> list[str]:
    last = case.curve.points[-1].step if case.curve.points else 0
    moved = summed_rate(case, last)
    if moved is None:
        return []
    return [
        f"The rates up to step {last:,} sum to {phrases.rate(moved)}: Adam moves no weight by "
        "much more."
    ]


def _advise_too_low(case: Case, decision: Decision) -> tuple[Advice, ...]:
    if decision.numbers.get("peak") == 0:
        return proposed(
            Advice(
                id="check-schedule",
                title="Find out why the optimizer's rate is 0, before training on",
                reason=f"{decision.evidence[0]} Nothing is learned at a rate of 0.",
                refuted_by="The optimizer's own param_groups show another rate than the log.",
                urgency=1,
            )
        )
    reason = (
        f"{decision.evidence[0]} A constant rate also takes the decay out of the comparison. "
        "On an untrained base no rate is enough: check the base first."
    )
    return proposed(raised_rate(case, 10.0, reason))


LR_TOO_HIGH = Rule(
    id="lr-too-high",
    title="The learning rate is too high",
    needs=(Evidence.LOG,),
    decide=_decide_too_high,
    cannot_show="The cause: high rates and bad luck look alike in one log.",
    experiment="Repeat the run at 0.3 times the rate, same seed and data: no spike there names it.",
    advise=_advise_too_high,
    explains_stall=True,
)
LR_TOO_LOW = Rule(
    id="lr-too-low",
    title="The learning rate is too low",
    needs=(Evidence.LOG,),
    decide=_decide_too_low,
    cannot_show="Whether a higher rate would train: other causes stall a run at any rate.",
    experiment="Repeat the run at 3 and 10 times the rate, constant; compare at equal tokens.",
    advise=_advise_too_low,
    explains_stall=True,
)
