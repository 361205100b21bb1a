"""What number formats and masks do to a loss: NaN shown as 0, overflow, and no targets at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.excursion import finite_points
from sweeper.diagnosis.readings import main_break, previous_step
from sweeper.diagnosis.remedies import proposed
from sweeper.diagnosis.verdicts import contradicted, supported, untestable

_HALVINGS = 3.0
# A scaler begins high on purpose and halves its way down in the first steps.
_SETTLING_POINTS = 3
_NEAR_ZERO_NATS = 1e-3
_EARLY_POINTS = 10


def _decide_masked(case: Case) -> Decision:
    zeros = [point for point in case.curve if point.train_loss == 0]
    if not zeros:
        return contradicted(0.95, "No training loss is exactly 0.")
    norms = [point.grad_norm for point in zeros if point.grad_norm is not None]
    count = f"{len(zeros)} training losses are exactly 0, from step {zeros[0].step:,} on"
    broken = sum(not math.isfinite(norm) for norm in norms)
    if broken:
        return supported(
            0.97,
            f"{count}, with a gradient norm that is no number at {broken} of them: a NaN, shown as "
            "0 (transformers' Trainer does that by default).",
            zeros=len(zeros),
            broken_norms=broken,
        )
    if norms and any(norm > 0 for norm in norms):
        return contradicted(0.8, f"{count}, but their gradient norms are numbers.")
    if len(zeros) < 2:
        return untestable(f"{count}: log the gradient norm to tell whether it hides a NaN.")
    return supported(0.5, f"{count}; no text is predicted without any loss.", zeros=len(zeros))


def _advise_masked(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="unmask-nan",
            title="Turn the NaN filter off (logging_nan_inf_filter=False) and train in fp32",
            reason=f"{decision.evidence[0]} Every step from there on is lost.",
            refuted_by="In fp32 the first step gives NaN as well: then it is the data or the code.",
            change={"precision": "fp32"},
            urgency=1,
        )
    )


@dataclass(frozen=True)
class ScaleFall:
    """A run of falls of the loss scale.

    Attributes:
        start_step: The last step at the old scale.
        end_step: The step at the lowest one.
        halvings: Powers of two between them.
        is_settling: Whether it belongs to the first points of the log.
    """

    start_step: int
    end_step: int
    halvings: float
    is_settling: bool


def deepest_fall(scales: list[tuple[int, float]]) -> ScaleFall | None:
    """The longest fall in powers of two, over neighbouring points that never rise."""
    positive = [(step, scale) for step, scale in scales if scale > 0]
    deepest: ScaleFall | None = None
    begin = 0
    for index, ((_, before), (step, scale)) in enumerate(pairwise(positive), start=1):
        if scale >= before:
            begin = index
            continue
        halvings = math.log2(positive[begin][1]) - math.log2(scale)
        if deepest is None or halvings > deepest.halvings:
            settling = index <= _SETTLING_POINTS
            deepest = ScaleFall(positive[begin][0], step, halvings, settling)
    return deepest


def _decide_overflow(case: Case) -> Decision:
    scales = finite_points(case.curve, "loss_scale")
    fall = deepest_fall(scales)
    if fall is None or fall.halvings < _HALVINGS:
        seen = f"{fall.halvings:.1f}" if fall else "0"
        return contradicted(
            0.8, f"The loss scale fell by {seen} halvings in a row at most; three would tell."
        )
    text = (
        f"The loss scale fell by {fall.halvings:.0f} halvings between steps {fall.start_step:,} "
        f"and {fall.end_step:,}: as many steps overflowed and were skipped"
    )
    event = main_break(case)
    if event is not None:
        onset = previous_step(case.curve, event.start_step) or event.start_step
        if fall.start_step <= event.end_step and fall.end_step >= onset:
            return supported(
                0.65,
                f"{text}, where the loss broke at step {event.start_step:,}.",
                halvings=fall.halvings,
            )
    if fall.is_settling:
        return contradicted(0.5, f"{text}, at the log's beginning, as a scaler does that settles.")
    return supported(0.4, f"{text}.", halvings=fall.halvings)


def _advise_overflow(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="wider-format",
            title="Train in bf16 or fp32 instead of fp16",
            reason=(
                f"{decision.evidence[0]} bf16 has the range of fp32, so nothing overflows at "
                "65,504; it rounds more coarsely than fp16, which adds noise and removes none."
            ),
            refuted_by="The loss breaks at the same step in fp32.",
            change={"precision": "fp32"},
            urgency=2,
            expect="val_loss < baseline",
        )
    )


def _decide_label_mask(case: Case) -> Decision:
    losses = [point.train_loss for point in case.curve if point.train_loss is not None]
    if not losses:
        return untestable("No training loss was logged.")
    early = losses[:_EARLY_POINTS]
    if all(math.isnan(loss) for loss in losses):
        return supported(
            0.35,
            f"All {len(losses)} training losses are NaN from the first on: the mean over no target "
            "at all is 0 / 0.",
        )
    finite = [loss for loss in early if math.isfinite(loss)]
    if not finite or len(early) < 2:
        return untestable("The first losses do not tell: log from step 0 on.")
    if max(finite) >= _NEAR_ZERO_NATS:
        return contradicted(
            0.85,
            f"The first {len(finite)} losses reach up to "
            f"{phrases.loss(max(finite))}: there are targets to predict.",
        )
    return supported(
        0.7,
        f"The first {len(finite)} losses are at most {phrases.loss(max(finite))}: nothing is left "
        "to predict, for the targets are ignored or stand in the input.",
    )


def _advise_label_mask(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="check-labels",
            title="Print one batch: its tokens, its targets, and how many are not ignored",
            reason=decision.evidence[0],
            refuted_by="Most positions have a target, and it is the next token.",
            urgency=1,
        )
    )


MASKED_NAN = Rule(
    id="masked-nan",
    title="The loss is NaN and is shown as 0",
    needs=(Evidence.LOG,),
    decide=_decide_masked,
    cannot_show="Where the NaN is from.",
    experiment="Log the raw loss of every step, and stop at the first that is no number.",
    advise=_advise_masked,
    explains_stall=True,
)
FP16_OVERFLOW = Rule(
    id="fp16-overflow",
    title="Half precision overflows",
    needs=(Evidence.LOG, Evidence.LOSS_SCALE),
    decide=_decide_overflow,
    cannot_show="Whether hardware or data made the values so large.",
    experiment="Repeat the steps around it in fp32 from the checkpoint before.",
    advise=_advise_overflow,
)
LABEL_MASK = Rule(
    id="label-mask",
    title="There is nothing to predict: targets are masked, or given away",
    needs=(Evidence.LOG,),
    decide=_decide_label_mask,
    cannot_show="Which of the two, nor where the mask is made.",
    experiment="Decode the targets of one batch by eye.",
    advise=_advise_label_mask,
    explains_stall=True,
)
