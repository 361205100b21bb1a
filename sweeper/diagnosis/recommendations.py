"""What to do, in order: the advice of all supported causes, and what to log next time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sweeper.curves import FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Cause, Verdict
from sweeper.diagnosis.diagnosis import Recommendation
from sweeper.diagnosis.excursion import rises_in
from sweeper.diagnosis.remedies import logged_gradients
from sweeper.diagnosis.stuck import FEW_POINTS, plateau_points

_LEAST_URGENT = 5
_BLOWS = (FindingKind.SPIKE, FindingKind.DIVERGENCE, FindingKind.NON_FINITE)


def recommend(case: Case, causes: Sequence[Cause]) -> tuple[Recommendation, ...]:
    """Advice merged by its id; the most urgent first, then the best supported."""
    merged: dict[str, list[tuple[Advice, Cause]]] = {}
    for cause in causes:
        if cause.verdict is Verdict.SUPPORTED:
            for advice in cause.rule.advise(case, cause.decision):
                merged.setdefault(advice.id, []).append((advice, cause))
    found = [_merged(pairs) for pairs in merged.values()]
    for advice in missing_evidence(case):
        if advice.id not in merged:
            found.append((advice, (), 0.0))
    found.sort(key=lambda entry: (entry[0].urgency, -entry[2], entry[0].id))
    return tuple(
        Recommendation(place, advice, ids, confidence)
        for place, (advice, ids, confidence) in enumerate(found, start=1)
    )


def _merged(pairs: list[tuple[Advice, Cause]]) -> tuple[Advice, tuple[str, ...], float]:
    """The best supported wording, at the greatest urgency of all that give the advice."""
    pairs = sorted(pairs, key=lambda pair: -pair[1].confidence)
    best = pairs[0][0]
    urgency = min(advice.urgency for advice, _ in pairs)
    change = next((advice.change for advice, _ in pairs if advice.change), {})
    ids = tuple(dict.fromkeys(cause.id for _, cause in pairs))
    merged = Advice(
        id=best.id,
        title=best.title,
        reason=best.reason,
        refuted_by=best.refuted_by,
        change=change,
        urgency=urgency,
        expect=next((advice.expect for advice, _ in pairs if advice.expect), ""),
    )
    return merged, ids, pairs[0][1].confidence


def missing_evidence(case: Case) -> Iterator[Advice]:
    """What the next run should log, where this one left a question open."""
    if not case.findings:
        return
    if Evidence.GRADIENTS not in case.evidence and case.of_kind(*_BLOWS):
        yield replace(logged_gradients(), urgency=_LEAST_URGENT)
    if Evidence.VALIDATION not in case.evidence:
        yield Advice(
            id="evaluate-on-held-out-text",
            title="Hold out some documents and evaluate on them",
            reason="Without a validation loss neither overfitting nor a leak can be seen.",
            refuted_by="Validation follows training within its own scatter.",
            urgency=_LEAST_URGENT,
        )
    yield from _closer_evaluation(case)
    yield from _evaluation_noise(case)


def _closer_evaluation(case: Case) -> Iterator[Advice]:
    losses = case.losses
    for finding in case.of_kind(FindingKind.SPIKE):
        for rise in rises_in(losses, finding)[:1]:
            hidden = finding.start_step - rise.before_step
            if len(rise.elevated_steps) == 1 and hidden > 20:
                yield Advice(
                    id="log-more-often",
                    title="Log the training loss every 10 steps",
                    reason=f"The spike at step {finding.start_step:,} is one point with "
                    f"{hidden:,} unseen steps before it; its onset and length are unknown.",
                    refuted_by="The next spike is one point at that distance as well.",
                    urgency=_LEAST_URGENT,
                )
                return


def _evaluation_noise(case: Case) -> Iterator[Advice]:
    plateaus = case.of_kind(FindingKind.PLATEAU)
    if not plateaus or Evidence.VALIDATION not in case.evidence:
        return
    name, points = plateau_points(case, plateaus[0])
    if name == "val_loss" and len(points) <= FEW_POINTS:
        yield Advice(
            id="measure-evaluation-noise",
            title="Evaluate one checkpoint three times on other validation batches",
            reason=f"The plateau rests on {phrases.plural(len(points), 'evaluation')}; if their "
            "scatter is chance, it may be none.",
            refuted_by="The three results agree to the third decimal.",
            urgency=_LEAST_URGENT - 1,
        )
