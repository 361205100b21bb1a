"""What a jump of the loss can be: one odd batch, damaged weights, or a state that was lost."""

from __future__ import annotations

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.excursion import Rise, finite_points
from sweeper.diagnosis.readings import (
    Witness,
    main_surge,
    previous_step,
    start_of,
    surges,
    testimony,
    witness,
)
from sweeper.diagnosis.remedies import evaluated_twice, logged_gradients, proposed
from sweeper.diagnosis.verdicts import NO_SPIKE, REMEDIES, contradicted, supported, untestable

# Points further apart than this hide whole spikes between them.
_DENSE_STEPS = 20
_JUMP_NATS = 0.15
_JUMP_SHARE = 0.05
_RATE_BREAK = 1.5
# A start so high is a blind guess.
_BLIND_NATS = 7.0


def _decide_outlier(case: Case) -> Decision:
    event = main_surge(case)
    if event is None:
        return contradicted(0.9, NO_SPIKE)
    if event.kind is FindingKind.DIVERGENCE:
        return contradicted(0.8, "The loss stayed up: one batch passes.")
    train = witness(case.curve, event, "train_loss")
    val = witness(case.curve, event, "val_loss")
    if train is None:
        return untestable("No training loss was logged at the spike: log it at every step.")
    if val is not None and val.has_risen:
        return contradicted(
            0.9,
            f"{testimony(event, train, val)}: one odd training batch is not in the validation set "
            "and cannot raise its loss by itself.",
            train_rise=train.height,
            val_rise=val.height,
        )
    if train.rise is None:
        return untestable("The training loss did not rise in the event: log it at every step.")
    return _training_only(case, event, train.rise, val)


def _training_only(case: Case, event: Finding, train: Rise, val: Witness | None) -> Decision:
    num_points = len(train.elevated_steps)
    if event.recovered is False and train.after is None:
        return untestable("The log ends in the spike: whether it passes is not known.")
    start = start_of(case.curve)
    if start is not None and start.loss >= _BLIND_NATS and train.peak > start.loss:
        return contradicted(
            0.5,
            f"Training rose to {phrases.loss(train.peak)}, above the {phrases.loss(start.loss)} of "
            "the start: odd text hardly costs more than knowing nothing.",
        )
    if num_points > 1:
        return contradicted(0.6, f"The loss stood high at {num_points} logged points, not at one.")
    text = (
        f"Training rose by {phrases.nats(train.height)} nats at step {train.peak_step:,} alone and "
        f"was back at {phrases.loss(train.after)} at the next point"
    )
    coarse = event.start_step - train.before_step > _DENSE_STEPS
    if val is not None:
        text += f", while {val}"
    if coarse:
        text += f"; {event.start_step - train.before_step:,} steps before it were not logged"
    confidence = 0.35 + (0.2 if val is not None else 0.0) - (0.15 if coarse else 0.0)
    return supported(confidence, f"{text}.", train_rise=train.height)


def _advise_outlier(case: Case, decision: Decision) -> tuple[Advice, ...]:
    event = main_surge(case)
    step = event.start_step if event else 0
    return proposed(
        Advice(
            id="inspect-batch",
            title=f"Read the batch of step {step:,}, and replay the run without it",
            reason=(
                f"{decision.evidence[0]} A batch of unlike text does that.{_documents(case, step)}"
            ),
            refuted_by="The batch reads like any other, or the spike comes without it.",
            urgency=2,
        )
    )


def _documents(case: Case, step: int) -> str:
    passages = case.corpus.events.get(step, ()) if case.corpus else ()
    names = list(dict.fromkeys(passage.name for passage in passages))
    return f" Read there: {phrases.joined(names[:3])}." if names else ""


def _decide_state(case: Case) -> Decision:
    event = main_surge(case)
    if event is None:
        return contradicted(0.9, NO_SPIKE)
    train = witness(case.curve, event, "train_loss")
    val = witness(case.curve, event, "val_loss")
    if train is not None and val is not None:
        return _both_witnesses(event, train, val)
    rise = train.rise if train is not None else None
    if train is not None and rise is not None and val is None and _stays_above_start(rise):
        return supported(
            0.45,
            f"{testimony(event, train)} and stood high at {len(rise.elevated_steps)} points, above "
            f"the starting loss {phrases.loss(rise.start)}: that is worse than before any "
            "training, and not one batch.",
            train_rise=rise.height,
            start=rise.start,
        )
    return untestable(
        f"Both losses are needed at step {event.start_step:,}: {REMEDIES[Evidence.VALIDATION]}."
    )


def _stays_above_start(rise: Rise) -> bool:
    """Whether more than one logged point stood high, and the highest above the start."""
    return rise.is_above_start and len(rise.elevated_steps) > 1


def _both_witnesses(event: Finding, train: Witness, val: Witness) -> Decision:
    text = testimony(event, train, val)
    if train.rise is None or not (train.has_risen and val.has_risen):
        return contradicted(0.7, f"{text}: the two did not rise together.")
    numbers = {"train_rise": train.height, "val_rise": val.height}
    if not (train.is_above_start and val.is_above_start):
        return supported(0.35, f"{text}: the weights got worse for both, in part.", **numbers)
    return supported(
        0.55,
        f"{text}, both above the starting loss {phrases.loss(train.rise.start)}: worse than before "
        "any training, on texts that share no batch.",
        "Damaged weights, or a fault of the evaluation or of the adapter's state, fit."
        f"{_return(event, train.rise)}",
        start=train.rise.start,
        **numbers,
    )


def _return(event: Finding, rise: Rise) -> str:
    """How soon the loss was back, and what that makes likelier."""
    if rise.after is None or rise.after_step is None or not event.recovered:
        return ""
    back = phrases.plural(rise.after_step - rise.peak_step, "step")
    return (
        f" It came back to {phrases.loss(rise.after)} within {back}, which a fault that passes "
        "explains more easily than weights that were learned anew."
    )


def _advise_state(case: Case, decision: Decision) -> tuple[Advice, ...]:
    event = main_surge(case)
    if event is None:
        return ()
    before = previous_step(case.curve, event.start_step)
    again = Advice(
        id="repeat-past-spike",
        title=f"Run from the checkpoint of step {before or 0:,} past the spike once more, other "
        "batches first",
        reason=(
            f"{decision.evidence[0]} A second pass of step {event.start_step:,} tells a fault of "
            "the text or the code there from one that came and went."
        ),
        refuted_by=f"The loss jumps again at step {event.start_step:,}.",
        urgency=4,
    )
    return proposed(evaluated_twice(event.start_step), again, logged_gradients())


def _decide_resume(case: Case) -> Decision:
    restarts = case.log.restart_steps
    if not restarts:
        return contradicted(
            0.6, "The log shows no restart (one that left no trace in it cannot be excluded)."
        )
    for restart in restarts:
        found = _jump_at(case, restart) or _rate_break(case, restart)
        if found:
            return supported(0.65, found, restart_step=restart)
    shown = phrases.joined([f"{step:,}" for step in restarts[:3]])
    return contradicted(0.8, f"Neither loss nor rate jumps at the restart at step {shown}.")


def _jump_at(case: Case, restart: int) -> str | None:
    for event in surges(case):
        before = previous_step(case.curve, event.start_step)
        if (before if before is not None else event.start_step - 1) <= restart <= event.start_step:
            return (
                f"The run was taken up again at step {restart:,}, and the loss is "
                f"{phrases.nats(event.severity)} nats up at step {event.start_step:,}."
            )
    losses = finite_points(case.curve, "train_loss")
    before_it = [value for step, value in losses if step < restart]
    after_it = [value for step, value in losses if step >= restart]
    if not before_it or not after_it:
        return None
    jump = after_it[0] - before_it[-1]
    if jump <= max(_JUMP_NATS, _JUMP_SHARE * abs(before_it[-1])):
        return None
    return (
        f"The run was taken up again at step {restart:,}; the loss went from "
        f"{phrases.loss(before_it[-1])} to {phrases.loss(after_it[0])}."
    )


def _rate_break(case: Case, restart: int) -> str | None:
    rates = [(s, v) for s, v in finite_points(case.curve, "learning_rate") if v > 0]
    before = [value for step, value in rates if step < restart]
    after = [value for step, value in rates if step >= restart]
    if not before or not after:
        return None
    # During a warmup neighbouring rates differ as well: what counts is a change of their ratio.
    usual = before[-1] / before[-2] if len(before) > 1 else 1.0
    ratio = after[0] / before[-1] / usual
    if 1 / _RATE_BREAK <= ratio <= _RATE_BREAK:
        return None
    return (
        f"The rate went from {phrases.rate(before[-1])} to {phrases.rate(after[0])} at the restart "
        f"at step {restart:,}: the schedule was not restored."
    )


def _advise_resume(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="restore-state",
            title="Save and restore optimizer, schedule, scaler and the order of data too",
            reason=f"{decision.evidence[0]} Weights alone do not bring back Adam's moments.",
            refuted_by="A restart that restores all of them jumps as well.",
            urgency=1,
        )
    )


OUTLIER_BATCH = Rule(
    id="outlier-batch",
    title="One odd batch raised the loss for a step",
    needs=(Evidence.LOG,),
    decide=_decide_outlier,
    cannot_show="Which batch, unless its documents are known.",
    experiment="Evaluate the checkpoint before the spike on that batch: it must give the peak.",
    advise=_advise_outlier,
)
WEIGHTS_OR_EVAL_STATE = Rule(
    id="weights-or-eval-state",
    title="The weights, or the state that was evaluated, were damaged",
    needs=(Evidence.LOG,),
    decide=_decide_state,
    cannot_show="Which of the two.",
    experiment=(
        "Evaluate the checkpoint saved at the spike again, in a fresh process, with the adapter on "
        "and off: high again with it on, the weights are damaged; else it was the evaluation."
    ),
    advise=_advise_state,
)
RESUME_RESET = Rule(
    id="resume-reset",
    title="A restart lost part of the training state",
    needs=(Evidence.LOG,),
    decide=_decide_resume,
    cannot_show="Which part was lost.",
    experiment="Save, stop and resume at a quiet step: the curve must go on as before.",
    advise=_advise_resume,
)
