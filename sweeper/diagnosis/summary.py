"""What happened, how sure, what to do first: three to six sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.cause import Cause, Verdict
from sweeper.diagnosis.diagnosis import Recommendation
from sweeper.diagnosis.excursion import (
    RISING_KINDS,
    SERIES_WORDS,
    main_rises,
    rises_in,
)
from sweeper.diagnosis.stuck import is_tentative

_MOST_EVENTS = 3
_ENOUGH_POINTS = 5  # with fewer no detector can see more than a jump
_LIKELY = 0.5  # confidence from which a cause is worth naming on a healthy run


def summarise(
    case: Case, causes: Sequence[Cause], recommendations: Sequence[Recommendation]
) -> tuple[str, ...]:
    """The whole diagnosis in some sentences; plainly so for a healthy run."""
    if not case.findings:
        return (
            *_course(case),
            *_all_clear(case),
            *_aside(causes, recommendations),
        )
    return (
        *_course(case),
        *_events(case),
        *_best_cause(causes),
        *_first_thing(recommendations),
    )


def _all_clear(case: Case) -> Iterator[str]:
    num_points = max(len(series) for series in case.losses.values())
    if num_points >= _ENOUGH_POINTS:
        yield (
            "No spike, divergence, plateau, overfitting or loss of speed was found: the curve is "
            "healthy."
        )
    elif num_points >= 2:
        yield f"Nothing stands out, but {num_points:,} points are little to go by."


def _course(case: Case) -> Iterator[str]:
    """From where to where the loss went."""
    for name, series in case.losses.items():
        if len(series) < 2:
            continue
        first, last = float(series.values[0]), float(series.values[-1])
        best = int(series.values.argmin())
        lowest = ""
        if series.values[best] < last:
            lowest = (
                f"; the lowest was {phrases.loss(float(series.values[best]))} at step "
                f"{int(series.steps[best]):,}"
            )
        yield (
            f"The {SERIES_WORDS[name]} loss went from {phrases.loss(first)} at step "
            f"{int(series.steps[0]):,} to {phrases.loss(last)} at step "
            f"{int(series.steps[-1]):,}{lowest}."
        )
        return
    yield f"The log holds {phrases.plural(len(case.curve), 'point')}: too few to judge."


def _events(case: Case) -> Iterator[str]:
    rising = main_rises(case)
    events = [f for f in case.findings if f.kind not in RISING_KINDS or f in rising]
    shown = _MOST_EVENTS if len(events) <= _MOST_EVENTS else _MOST_EVENTS - 1
    largest = sorted(events, key=lambda finding: -abs(finding.severity))[:shown]
    for finding in sorted(largest, key=lambda finding: finding.start_step):
        yield _event(case, finding)
    if len(events) > shown:
        yield f"{len(events) - shown:,} more findings are listed below."


def _event(case: Case, finding: Finding) -> str:
    if finding.kind is FindingKind.SPIKE:
        seen = rises_in(case.losses, finding)
        above = any(rise.is_above_start for rise in seen)
        height = max((rise.height for rise in seen), default=finding.severity)
        place = ", above the starting loss," if above else ""
        end = "and came back" if finding.recovered else "and did not come back"
        return f"It jumped by {height:.2f} nats at step {finding.start_step:,}{place} {end}."
    if finding.kind is FindingKind.PLATEAU:
        doubt = " (tentative: few points)" if is_tentative(case, finding) else ""
        return f"It has been flat since step {finding.start_step:,}{doubt}."
    if finding.kind is FindingKind.THROUGHPUT_DROP and {"before_s", "after_s"} <= {
        *finding.numbers
    }:
        before, after = finding.numbers["before_s"], finding.numbers["after_s"]
        return (
            f"From step {finding.start_step:,} on a step took {after:.3g} s instead of "
            f"{before:.3g} ({100 * (before / after - 1):+.0f} % speed)."
        )
    words = phrases.finding_words(finding)
    return f"{words[0].upper()}{words[1:]}: {finding.evidence.rstrip('.')}."


def _best_cause(causes: Sequence[Cause]) -> Iterator[str]:
    supported = [cause for cause in causes if cause.verdict is Verdict.SUPPORTED]
    if not supported:
        yield "No cause is supported by what was given."
        return
    best = max(supported, key=lambda cause: cause.confidence)
    yield f"Most likely: {best.rule.title} ({100 * best.confidence:.0f} % sure)."


def _aside(causes: Sequence[Cause], recommendations: Sequence[Recommendation]) -> Iterator[str]:
    """What deserves a look although the curve shows no trouble."""
    likely = [c for c in causes if c.verdict is Verdict.SUPPORTED and c.confidence >= _LIKELY]
    if likely:
        best = max(likely, key=lambda cause: cause.confidence)
        yield (f"One suspicion remains: {best.rule.title} ({100 * best.confidence:.0f} % sure).")
        yield from _first_thing(recommendations)


def _first_thing(recommendations: Sequence[Recommendation]) -> Iterator[str]:
    if recommendations:
        yield f"First thing to do: {recommendations[0].advice.title}."
