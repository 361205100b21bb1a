"""What the learning rate explains: too high, too low, the end of its warmup, or of its decay."""

from __future__ import annotations

import numpy as np

from sweeper.curves import Finding, FindingKind
from sweeper.curves.series import Series
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.rate import rate_at, steps_into_decay, warmup_end
from sweeper.diagnosis.readings import (
    gradient_jump,
    gradients_are_placeholders,
    main_break,
    main_plateau,
    main_surge,
    peak_rate,
    previous_step,
    summed_rate,
    surges,
    trains_adapter,
)
from sweeper.diagnosis.remedies import (
    bigger_batch,
    logged_gradients,
    lowered_rate,
    proposed,
    raised_rate,
    rounded,
)
from sweeper.diagnosis.verdicts import (
    NO_PLATEAU,
    NO_SPIKE,
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
_WARMUP_MARGIN = 0.2
_EXHAUSTED = 0.1
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
    reasons = [(0.2, _rate_at_event(case, step, rate, peak)), *_against_usual(case, rate, peak)]
    if rate < 0.9 * peak:
        reasons.append((-0.05, "A rate that is falling is an unlikely moment for it."))
    if event.recovered is False:
        reasons.append((0.1, "The loss did not come back within this log."))
    reasons += _by_gradients(case, event)
    confidence = min(max(sum(weight for weight, _ in reasons), 0.1), 0.6)
    sentences = [text for _, text in reasons]
    if confidence <= 0.2:
        sentences.append("A weak suspect: only a twin at 0.3 times the rate could name it.")
    return supported(confidence, *sentences, rate=rate, peak=peak, fraction=rate / peak)


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
        return []
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
    stuck = main_plateau(case) or next(iter(case.of_kind(FindingKind.NEVER_LEARNED)), None)
    shallow = None if stuck else _shallow_gain(case)
    if stuck is None and shallow is None:
        return contradicted(0.6, f"{NO_PLATEAU} The loss is falling.")
    peak, usual = peak_rate(case), usual_rates(case)
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
    reason = (
        f"{decision.evidence[0]} A constant rate also takes the decay out of the comparison. "
        "On an untrained base no rate is enough: check the base first."
    )
    return proposed(raised_rate(case, 10.0, reason))


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
    first = int(rates.steps[np.argmax(rates.values >= 0.999 * peak)])
    return first if rates.values[0] < 0.5 * peak else 0


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
