"""What makes steps unstable: exploding gradients, no clipping, Adam's moments, a small batch."""

from __future__ import annotations

import math

from sweeper.curves import Finding
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.readings import (
    GradientJump,
    gradient_jump,
    gradients_are_placeholders,
    main_break,
    main_plateau,
    main_surge,
    whole_number,
)
from sweeper.diagnosis.remedies import bigger_batch, clipped, logged_gradients, proposed
from sweeper.diagnosis.verdicts import (
    NO_PLATEAU,
    NO_SPIKE,
    NOTHING_FELL_APART,
    REMEDIES,
    contradicted,
    lacking_setting,
    supported,
    untestable,
)

_EXPLODED = 10.0
_GREW = 4.0
_PLACEHOLDER = "All logged gradient norms are 0 while the loss moves: nobody measured them"


def _decide_explosion(case: Case) -> Decision:
    event = main_break(case)
    if event is None:
        return contradicted(0.9, NOTHING_FELL_APART)
    if gradients_are_placeholders(case.curve):
        return untestable(f"{_PLACEHOLDER}; {REMEDIES[Evidence.GRADIENTS]}.")
    jump = gradient_jump(case.curve, event)
    if jump is None:
        return untestable(
            f"No gradient norms were logged before and at step {event.start_step:,}: "
            f"{REMEDIES[Evidence.GRADIENTS]}."
        )
    text, numbers = _grown(event, jump), {"usual": jump.usual, "peak": jump.peak}
    if jump.ratio >= _EXPLODED:
        return supported(0.75 if _foretold(event, jump) else 0.6, f"{text}.", **numbers)
    if jump.ratio >= _GREW:
        return supported(0.35, f"{text}, which large losses alone also bring.", **numbers)
    return contradicted(0.8, f"{text}: no explosion.", **numbers)


def _grown(event: Finding, jump: GradientJump) -> str:
    if math.isinf(jump.peak):
        return (
            f"The gradient norm is no number at step {jump.peak_step:,}, {jump.usual:.3g} before "
            f"the event at step {event.start_step:,}"
        )
    early = event.start_step - jump.peak_step
    ahead = f", {phrases.plural(early, 'step')} before the loss rose" if early > 0 else ""
    return (
        f"The gradient norm reached {jump.peak:.3g} at step {jump.peak_step:,}{ahead}, "
        f"{jump.ratio:.3g} times its usual {jump.usual:.3g}"
    )


def _foretold(event: Finding, jump: GradientJump) -> bool:
    """Whether the norm stood out before or with the loss, not only afterwards."""
    return jump.peak_step <= event.start_step


def _advise_explosion(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(_clipping(case), logged_gradients())


def _clipping(case: Case) -> Advice:
    """Clip at 1; harder where that was done."""
    norm = case.config.number("clip_norm")
    return clipped(1.0 if norm is None or norm > 1 else round(0.3 * norm, 6))


def _decide_clipping(case: Case) -> Decision:
    event = main_break(case)
    if event is None:
        return contradicted(0.9, NOTHING_FELL_APART)
    if not case.config.is_known("clip_norm"):
        return lacking_setting("clip_norm", "null where it is off")
    norm = case.config.get("clip_norm")
    if norm is not None:
        return contradicted(
            0.9, f"Gradients were clipped at a norm of {phrases.setting(norm)} by configuration."
        )
    off = "Clipping was off by configuration"
    placeholders = gradients_are_placeholders(case.curve)
    jump = None if placeholders else gradient_jump(case.curve, event)
    if jump is None:
        return supported(0.3, f"{off}; without gradient norms nobody knows if it would have acted.")
    if jump.ratio >= _GREW and _foretold(event, jump):
        return supported(0.6, f"{off}. {_grown(event, jump)}.", ratio=jump.ratio)
    return contradicted(
        0.5, f"{off}, but no gradient announced it. {_grown(event, jump)}.", ratio=jump.ratio
    )


def _advise_clipping(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(clipped(), logged_gradients())


def _decide_adam(case: Case) -> Decision:
    event = main_surge(case)
    if event is None:
        return contradicted(0.9, NO_SPIKE)
    return untestable(
        f"At step {event.start_step:,} the size of Adam's updates is not known: log the norm of "
        "each update and the largest |m| / sqrt(v). A loss and a gradient norm do not tell it, "
        "for Adam divides by a history of its own."
    )


def _decide_noise(case: Case) -> Decision:
    if main_plateau(case) is None and main_surge(case) is None:
        return contradicted(0.6, f"{NO_PLATEAU} {NO_SPIKE}")
    return untestable(
        f"One log has one batch size{_batch_words(case)}. The gradient's noise shows when the same "
        "weights read batches of two sizes: it falls with the root of the size.",
        *_heads(case),
    )


def _batch_words(case: Case) -> str:
    batch = whole_number(case.config, "batch_size")
    if batch is None:
        return ""
    blocks = batch * (whole_number(case.config, "accumulation") or 1)
    tokens = case.config.tokens_per_step
    return f", {blocks:,} blocks" + (f" or {tokens:,} tokens a step" if tokens else " a step")


def _heads(case: Case) -> tuple[str, ...]:
    heads, batch = (whole_number(case.config, name) for name in ("num_heads", "batch_size"))
    if heads is None or batch is None:
        return ()
    return (
        f"The {heads} attention heads share out features, not examples: each sees all {batch} "
        "blocks of a micro-batch.",
    )


def _advise_noise(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(bigger_batch(case))


GRADIENT_EXPLOSION = Rule(
    id="gradient-explosion",
    title="The gradient exploded",
    needs=(Evidence.LOG, Evidence.GRADIENTS),
    decide=_decide_explosion,
    cannot_show="What made it large: the data, the rate or the numbers' format.",
    experiment="Log the norm at every step: it must jump before the loss does, or with it.",
    advise=_advise_explosion,
)
CLIPPING_ABSENT = Rule(
    id="clipping-absent",
    title="Nothing bounded an extreme step",
    needs=(Evidence.LOG,),
    decide=_decide_clipping,
    cannot_show="Whether clipping would have been enough.",
    experiment="Repeat the run with clipping at 1, same seed and data.",
    advise=_advise_clipping,
)
ADAM_INSTABILITY = Rule(
    id="adam-instability",
    title="Adam's second moments were out of date, so its step was far too long",
    needs=(Evidence.LOG,),
    decide=_decide_adam,
    cannot_show="Anything from losses alone.",
    experiment="Repeat the run with beta2 at 0.95 and the update's norm logged.",
)
SMALL_BATCH_NOISE = Rule(
    id="small-batch-noise",
    title="The batch is too small, so noise hides the gradient",
    needs=(Evidence.LOG,),
    decide=_decide_noise,
    cannot_show="Noise from one batch size.",
    experiment=(
        "From one checkpoint, measure the gradient on many batches of the present size and of "
        "four times that: half the scatter is plain sampling noise."
    ),
    advise=_advise_noise,
    explains_stall=True,
)
