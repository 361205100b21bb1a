"""What the validation loss shows: overfitting, and evaluations that are wrong, stale or empty."""

from __future__ import annotations

import math

from sweeper.curves import FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.diagnosis import GapRow
from sweeper.diagnosis.excursion import finite_points
from sweeper.diagnosis.gap import gap_rows
from sweeper.diagnosis.readings import main_surge, testimony, witness
from sweeper.diagnosis.remedies import evaluated_twice, proposed
from sweeper.diagnosis.verdicts import (
    NO_SPIKE,
    REMEDIES,
    contradicted,
    sentence,
    supported,
    untestable,
)

# Generalisation loss that counts, in per cent over the best evaluation (Prechelt 1998, GL_5).
_LOSS_PERCENT = 5.0
_DECIMALS = 4


def _decide_fault(case: Case) -> Decision:
    event = main_surge(case)
    if event is None:
        return contradicted(0.9, NO_SPIKE)
    train = witness(case.curve, event, "train_loss")
    val = witness(case.curve, event, "val_loss")
    if val is None:
        return untestable(
            f"Nothing was evaluated at step {event.start_step:,}: {REMEDIES[Evidence.VALIDATION]}."
        )
    if not val.has_risen:
        return contradicted(0.8, f"The evaluation did not jump: {val}.")
    if train is None:
        return untestable(
            "Validation jumped, and no training loss was logged there to compare: log both."
        )
    if not train.has_risen:
        return supported(
            0.5,
            f"{testimony(event, train, val)}: training did not follow, so the weights in training "
            "were probably sound.",
            val_rise=val.height,
        )
    if event.recovered:
        return supported(
            0.3,
            f"{testimony(event, train, val)}, and both came back. If the training loss was "
            "measured by the same evaluation, one fault of it gives both.",
            val_rise=val.height,
        )
    return contradicted(0.5, f"{testimony(event, train, val)}, and they stayed up.")


def _advise_fault(case: Case, decision: Decision) -> tuple[Advice, ...]:
    event = main_surge(case)
    return proposed(evaluated_twice(event.start_step)) if event else ()


def _decide_only_nan(case: Case) -> Decision:
    broken = [
        p.step for p in case.curve if p.val_loss is not None and not math.isfinite(p.val_loss)
    ]
    if not broken:
        return contradicted(0.95, "Every validation loss is a number.")
    first = broken[0]
    train_broken = [
        p.step
        for p in case.curve
        if p.train_loss is not None and not math.isfinite(p.train_loss) and p.step <= first
    ]
    if train_broken:
        return contradicted(
            0.8,
            f"The training loss is no number from step {train_broken[0]:,} on, the validation "
            f"loss from step {first:,}: the weights are broken, not the evaluation alone.",
        )
    if not finite_points(case.curve, "train_loss"):
        return untestable("No training loss was logged: log it beside the validation loss.")
    return supported(
        0.9,
        f"Validation is no number at {len(broken)} of {len(case.curve.evaluations())} evaluations, "
        f"first at step {first:,}, where training still is one.",
        first_step=first,
    )


def _advise_only_nan(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="check-eval-targets",
            title="Count the targets of every evaluation batch, and evaluate in fp32 once",
            reason=f"{decision.evidence[0]} A batch whose targets are all ignored divides 0 by 0.",
            refuted_by="Every batch has targets, and in fp32 the loss is NaN as well.",
            urgency=1,
        )
    )


def _decide_stale(case: Case) -> Decision:
    for finding in case.of_kind(FindingKind.EVAL_NOT_TRACKING):
        return supported(0.9, sentence(finding.evidence))
    values = [value for _, value in finite_points(case.curve, "val_loss")]
    if len(values) < 2:
        return untestable("Fewer than two evaluations: log more of them.")
    different = len({round(value, _DECIMALS) for value in values})
    if different == 1:
        return untestable(
            f"All {len(values)} evaluations are {phrases.loss(values[0])}, but the training loss "
            "does not tell whether anything was learned: log both."
        )
    return contradicted(
        0.9, f"The evaluations differ: {different} different values among {len(values)}."
    )


def _advise_stale(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="evaluate-live-weights",
            title="Evaluate the weights that are being trained, and compare a hash of both",
            reason=f"{decision.evidence[0]} The evaluated weights are not those in training.",
            refuted_by="The hash of the evaluated weights changes from evaluation to evaluation.",
            urgency=1,
        )
    )


def _decide_overfit(case: Case) -> Decision:
    rows = gap_rows(case)
    for finding in case.of_kind(FindingKind.OVERFIT):
        percent = finding.numbers.get("gl_percent")
        sure = percent is None or percent > _LOSS_PERCENT
        return supported(0.85 if sure else 0.6, sentence(finding.evidence), gl_percent=percent)
    if len(rows) < 2:
        return untestable(
            "Fewer than two evaluations have a training loss beside them: log both at the same "
            "steps."
        )
    return contradicted(0.85, _distance(rows), _best(rows))


def _distance(rows: tuple[GapRow, ...]) -> str:
    """How far validation lies above training, over the whole log."""
    trained = [row for row in rows if row.step > 0] or list(rows)
    low, high = min(row.gap for row in rows), max(row.gap for row in rows)
    first, last = trained[0], trained[-1]
    side = "above" if low > 0 else ("below" if high < 0 else "on both sides of")
    return (
        f"Validation lies {side} training by {phrases.loss(abs(low))} to {phrases.loss(abs(high))} "
        f"nats; the gap goes from {phrases.loss(first.gap)} at step {first.step:,} to "
        f"{phrases.loss(last.gap)} at step {last.step:,}."
    )


def _best(rows: tuple[GapRow, ...]) -> str:
    best, last = min(rows, key=lambda row: row.val_loss), rows[-1]
    rise = 100 * (last.val_loss - best.val_loss) / abs(best.val_loss) if best.val_loss else 0.0
    return (
        f"The last evaluation stands {rise:.1f} % above the best one, "
        f"{phrases.loss(best.val_loss)} at step {best.step:,}: overfitting is a rise of "
        f"{_LOSS_PERCENT:.0f} % over two evaluations or more, while training falls."
    )


def _advise_overfit(case: Case, decision: Decision) -> tuple[Advice, ...]:
    reason = decision.evidence[0]
    stop = Advice(
        id="stop-early",
        title="Keep the best checkpoint by validation, and stop two evaluations after it",
        reason=reason,
        refuted_by="Validation falls below its former best when training goes on.",
        urgency=1,
    )
    dropout = case.config.number("dropout")
    if dropout is not None and dropout >= 0.1:
        return proposed(stop)
    return proposed(
        stop,
        Advice(
            id="more-dropout",
            title="Drop a tenth of the adapter's inputs",
            reason=f"{reason} Dropout makes learning by heart harder.",
            refuted_by="The best validation loss at equal tokens is no lower.",
            change={"dropout": 0.1},
            urgency=3,
            expect="val_loss < baseline",
        ),
    )


EVAL_FAULT = Rule(
    id="eval-fault",
    title="The evaluation itself was at fault",
    needs=(Evidence.LOG,),
    decide=_decide_fault,
    cannot_show="Whether a second evaluation of the same weights agrees.",
    experiment="Evaluate that checkpoint twice more, once with the adapter off.",
    advise=_advise_fault,
)
EVAL_ONLY_NAN = Rule(
    id="eval-only-nan",
    title="Only the evaluation gives no number",
    needs=(Evidence.LOG, Evidence.VALIDATION),
    decide=_decide_only_nan,
    cannot_show="Whether batches lack targets, or half precision overflows.",
    experiment="Evaluate batch by batch in fp32 and name the first that gives NaN.",
    advise=_advise_only_nan,
)
EVAL_STALE = Rule(
    id="eval-stale",
    title="The evaluated weights are not those that are trained",
    needs=(Evidence.LOG, Evidence.VALIDATION),
    decide=_decide_stale,
    cannot_show="Where the two part.",
    experiment="Set all trained weights to 0 and evaluate: the loss must change.",
    advise=_advise_stale,
    explains_stall=True,
)
OVERFIT = Rule(
    id="overfit",
    title="The model learns the training text by heart",
    needs=(Evidence.LOG, Evidence.VALIDATION),
    decide=_decide_overfit,
    cannot_show="The remedy: less training, more text or more dropout.",
    experiment="Train the best recipe on twice the text: a smaller gap names it.",
    advise=_advise_overfit,
)
