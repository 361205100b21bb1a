"""The report's reasoning: causes, why the loss is stuck, what to do, and the run that tests it."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.diagnosis.cause import Cause, Verdict
from sweeper.diagnosis.diagnosis import Diagnosis, ProposedTest, Recommendation
from sweeper.reports import words
from sweeper.reports.diagnosis import phrases
from sweeper.reports.diagnosis.blocks import (
    Block,
    Bullets,
    Code,
    Heading,
    Item,
    Paragraph,
    Row,
    Table,
    bullets,
)

_MOST_URGENT = 3  # of 1 to 5: what the next run should try; the rest can wait
_MEANING = {
    Verdict.SUPPORTED: "What the evidence speaks for. Each could still be a coincidence: see what "
    "it cannot show.",
    Verdict.CONTRADICTED: "What the evidence speaks against.",
    Verdict.UNTESTABLE: "What nothing given here can decide, neither way.",
}


def root_causes(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Every cause that was considered, in the groups of its verdict."""
    groups = {
        verdict: [cause for cause in diagnosis.causes if cause.verdict is verdict]
        for verdict in Verdict
    }
    counts = ", ".join(f"{len(causes)} {verdict}" for verdict, causes in groups.items())
    blocks: list[Block] = [
        Heading("Root cause analysis"),
        Paragraph(f"{words.plural(len(diagnosis.causes), 'possible cause')} checked: {counts}."),
    ]
    for verdict, causes in groups.items():
        blocks.append(Heading(f"{verdict.capitalize()} ({len(causes)})", 3))
        if not causes:
            blocks.append(Paragraph("None."))
        elif verdict is Verdict.SUPPORTED:
            blocks.append(Paragraph(_MEANING[verdict]))
            blocks += [block for cause in causes for block in _supported(cause)]
        else:
            blocks += [Paragraph(_MEANING[verdict]), _cause_table(verdict, causes)]
    return tuple(blocks)


def _supported(cause: Cause) -> tuple[Block, ...]:
    rule, decision = cause.rule, cause.decision
    title = f"{words.clean(rule.title)}: {phrases.confidence_words(decision.confidence)} confident"
    rests_on = ", ".join(rule.needs) or "the log"
    stall = " It can explain why a loss is stuck." if rule.explains_stall else ""
    return (
        Heading(title, 4, "supported"),
        Bullets(
            (
                *(Item(words.clean(sentence), "Evidence") for sentence in decision.evidence),
                Item(words.clean(rule.cannot_show), "Cannot show"),
                Item(words.clean(rule.experiment), "What would decide it"),
            )
        ),
        Paragraph(f"Rule {rule.id}; rests on: {rests_on}.{stall}"),
    )


def _cause_table(verdict: Verdict, causes: Sequence[Cause]) -> Table:
    is_open = verdict is Verdict.UNTESTABLE
    second = "needs" if is_open else "confidence"
    evidence = "why it is open" if is_open else "evidence"
    headings = ("cause", "rule", second, evidence, "cannot show", "what would decide it")
    rows = (
        (
            words.clean(cause.rule.title),
            cause.id,
            (", ".join(cause.rule.needs) or "the log")
            if is_open
            else phrases.confidence_words(cause.confidence),
            words.clean(" ".join(cause.decision.evidence)) or words.ABSENT,
            words.clean(cause.rule.cannot_show) or words.ABSENT,
            words.clean(cause.rule.experiment) or words.ABSENT,
        )
        for cause in causes
    )
    return Table(headings, tuple(Row(cells) for cells in rows))


def stall(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Why the loss is stuck."""
    nothing = (Paragraph("It is not: nothing here says that the loss has stopped falling."),)
    return (Heading("Why the loss is stuck"), *(bullets(diagnosis.stuck) or nothing))


def fixes(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """What to do: at once, and later; each with its reason and with what would refute it."""
    advised = diagnosis.recommendations
    now = [item for item in advised if item.advice.urgency <= _MOST_URGENT]
    later = [item for item in advised if item.advice.urgency > _MOST_URGENT]
    blocks: list[Block] = [Heading("Recommended fixes, in priority order")]
    if not advised:
        return (*blocks, Paragraph("No supported cause asks for a change."))
    for title, items in (("Immediate (next training run)", now), ("Longer term", later)):
        blocks.append(Heading(title, 3))
        if not items:
            blocks.append(Paragraph("Nothing."))
        blocks += [block for item in items for block in _fix(item, diagnosis)]
    return tuple(blocks)


def _fix(item: Recommendation, diagnosis: Diagnosis) -> tuple[Block, ...]:
    advice = item.advice
    titles = {cause.id: words.clean(cause.rule.title) for cause in diagnosis.causes}
    answers = "; ".join(
        f"{titles[id]} ({id})" if id in titles else words.clean(id) for id in item.causes
    )
    sure = phrases.confidence_words(item.confidence)
    items = (
        ("Reason", words.clean(advice.reason)),
        ("Change", phrases.change_words(advice.change)),
        ("Expected", words.clean(advice.expect)),
        ("Refuted by", words.clean(advice.refuted_by)),
        ("Answers to", f"{answers}; {sure} confident" if answers else ""),
    )
    title = f"{item.priority}. {words.clean(advice.title)}"
    return (
        Heading(title, 4, "advice"),
        Bullets(tuple(Item(text, label) for label, text in items if text)),
    )


def test(proposed: ProposedTest | None) -> tuple[Block, ...]:
    """The run to do next, and what to expect of it."""
    heading = Heading("Testing your hypothesis")
    if proposed is None:
        return (heading, Paragraph("Nothing is wrong, so there is nothing to test."))
    items = (
        ("Expected outcome", words.clean(proposed.expected)),
        ("Interval", interval_words(proposed)),
        ("Basis", words.clean(proposed.basis)),
        ("Refuted by", words.clean(proposed.refuted_by)),
        ("Note", words.clean(proposed.remark)),
    )
    return (
        heading,
        Paragraph("Run this:"),
        Code(words.clean_code(proposed.command)),
        Bullets(tuple(Item(text, label) for label, text in items if text)),
    )


def interval_words(proposed: ProposedTest) -> str:
    """The interval of the outcome; says so where none has a basis."""
    if proposed.low is None and proposed.high is None:
        return "none has a basis in this log"
    if proposed.low is None:
        return f"at most {phrases.loss_words(proposed.high)} nats"
    if proposed.high is None:
        return f"at least {phrases.loss_words(proposed.low)} nats"
    return f"{phrases.loss_words(proposed.low)} to {phrases.loss_words(proposed.high)} nats"
