"""The three answers of a rule, and what to ask for where the third is given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from sweeper.diagnosis.case import Evidence
from sweeper.diagnosis.cause import Decision, Verdict

REMEDIES: Mapping[Evidence, str] = {
    Evidence.LOG: "give a log that has losses",
    Evidence.VALIDATION: "log a validation loss, at steps at which the training loss is logged too",
    Evidence.GRADIENTS: (
        "log the global gradient norm before clipping at every step (clip_grad_norm_ returns it)"
    ),
    Evidence.RATE: "log the learning rate, or give learning_rate and schedule with --config",
    Evidence.TIMES: "log the seconds of a step, or steps per second",
    Evidence.LOSS_SCALE: "log the loss scale (the scaler's get_scale())",
    Evidence.CONFIG: "give the run's settings with --config",
    Evidence.DATA: "give the training text with --data",
    Evidence.MODEL: "give the base's folder with --model",
    Evidence.TRIAL: "diagnose a trial of sweeper, whose batches are known exactly",
}
NOTHING_FELL_APART = "No spike, no divergence and no loss that is no number in this log."
NO_SPIKE = "No spike and no divergence in this log."
NO_PLATEAU = "No plateau in this log."


def supported(confidence: float, *evidence: str, **numbers: float | None) -> Decision:
    """The evidence speaks for the cause; a low confidence makes it a suspect."""
    return Decision(Verdict.SUPPORTED, _share(confidence), evidence, _finite(numbers))


def contradicted(confidence: float, *evidence: str, **numbers: float | None) -> Decision:
    """The evidence speaks against the cause, or nothing happened that it could have caused."""
    return Decision(Verdict.CONTRADICTED, _share(confidence), evidence, _finite(numbers))


def untestable(*evidence: str, **numbers: float | None) -> Decision:
    """The evidence cannot decide; the sentences say what is missing and what would give it."""
    return Decision(Verdict.UNTESTABLE, 0.0, evidence, _finite(numbers))


def lacking(kinds: Iterable[Evidence]) -> Decision:
    """Untestable for want of whole kinds of evidence."""
    ordered = sorted(kinds, key=list(Evidence).index)
    return untestable(*(f"Missing: {kind.value}; {REMEDIES[kind]}." for kind in ordered))


def lacking_setting(name: str, why: str) -> Decision:
    """Untestable for want of one setting.

    Args:
        name: As in `RunConfig.values`.
        why: What it would tell, as the end of a sentence.
    """
    return untestable(f"{name} is not known: give it with --config, {why}.")


def sentence(text: str) -> str:
    """A phrase, such as a finding's evidence, as a sentence."""
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _share(confidence: float) -> float:
    return round(min(max(confidence, 0.0), 1.0), 2)


def _finite(numbers: Mapping[str, float | None]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in numbers.items()
        if value is not None and math.isfinite(value)
    }
