"""Why the loss is stuck, and how sure it is that it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeper.curves import Finding, FindingKind
from sweeper.curves.series import Series
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.cause import Cause, Verdict
from sweeper.diagnosis.excursion import excluded_steps, without_steps

FEW_POINTS = 5
_STALLS = (FindingKind.PLATEAU, FindingKind.NEVER_LEARNED, FindingKind.WEIGHTS_NOT_UPDATING)


def explain_stall(case: Case, causes: Sequence[Cause]) -> tuple[str, ...]:
    """Sentences, the best supported cause first; none where the loss is not stuck."""
    stalls = case.of_kind(*_STALLS)
    if not stalls:
        return ()
    return (*(_certainty(case, stalls[0])), *_reasons(causes))


def plateau_points(case: Case, finding: Finding) -> tuple[str, Series]:
    """The series that a plateau is judged by, and its points outside of spikes."""
    losses = case.losses
    spiked = excluded_steps(case.findings, losses)
    for name in ("val_loss", "train_loss"):
        points = without_steps(losses[name].between(finding.start_step, finding.end_step), spiked)
        if len(points) >= 2:
            break
    return name, points


def is_tentative(case: Case, finding: Finding) -> bool:
    """Whether a plateau rests on so few points that chance may have made it."""
    return len(plateau_points(case, finding)[1]) <= FEW_POINTS


def _certainty(case: Case, finding: Finding) -> Iterator[str]:
    if finding.kind is not FindingKind.PLATEAU:
        yield f"{phrases.finding_words(finding).capitalize()}: {finding.evidence.rstrip('.')}."
        return
    name, points = plateau_points(case, finding)
    words = "validation" if name == "val_loss" else "training"
    values = [phrases.loss(value) for value in points.values.tolist()]
    if len(points) <= FEW_POINTS:
        yield (
            f"Tentative: the plateau from step {finding.start_step:,} on rests on "
            f"{phrases.plural(len(points), 'usable point')} ({words} "
            f"{phrases.joined(values)}), and how noisy an evaluation is, is not known."
        )
        return
    noise = finding.numbers.get("noise_nats")
    about = f", noise {phrases.loss(noise)}" if noise is not None else ""
    yield (
        f"The {words} loss is flat from step {finding.start_step:,} to {finding.end_step:,}: "
        f"{phrases.loss(float(points.values[0]))} to {phrases.loss(float(points.values[-1]))} "
        f"over {phrases.plural(len(points), 'point')}{about}."
    )


def _reasons(causes: Sequence[Cause]) -> Iterator[str]:
    explaining = [cause for cause in causes if cause.rule.explains_stall]
    supported = [cause for cause in explaining if cause.verdict is Verdict.SUPPORTED]
    supported.sort(key=lambda cause: -cause.confidence)
    for cause in supported:
        evidence = " ".join(f"{text.rstrip('.')}." for text in cause.decision.evidence)
        yield f"{cause.rule.title} ({100 * cause.confidence:.0f} % sure). {evidence}".rstrip()
    if not supported:
        yield "No cause of it is supported by what was given."
    open_ones = [cause.id for cause in explaining if cause.verdict is Verdict.UNTESTABLE]
    if open_ones:
        yield f"Untestable here: {phrases.joined(open_ones)}."
