"""What the report of a diagnosis says, in the order in which it is read."""

from __future__ import annotations

from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.reports import words
from sweeper.reports.diagnosis import observations, phrases, reasoning, sources
from sweeper.reports.diagnosis.blocks import Block, Heading, Paragraph, Picture

FIGURE_FILE = "curve.png"


def report_title(diagnosis: Diagnosis) -> str:
    """The heading of the whole."""
    return f"Diagnosis of {phrases.source_words(diagnosis)}"


def report_blocks(diagnosis: Diagnosis, *, with_figure: bool) -> tuple[Block, ...]:
    """The whole report.

    Args:
        diagnosis: What to say.
        with_figure: Whether the figure lies beside the report, or inside it.
    """
    return (
        *_summary(diagnosis),
        *((Picture(FIGURE_FILE, _caption(diagnosis)),) if with_figure else ()),
        *observations.observations(diagnosis),
        *reasoning.root_causes(diagnosis),
        *reasoning.stall(diagnosis),
        *reasoning.fixes(diagnosis),
        *reasoning.test(diagnosis.test),
        *sources.files(diagnosis),
        *sources.reading(diagnosis),
        *sources.numbers(diagnosis),
    )


def _summary(diagnosis: Diagnosis) -> tuple[Block, ...]:
    first, *rest = [words.clean(sentence) for sentence in diagnosis.summary] or ["No summary."]
    return (
        Heading("Executive summary"),
        Paragraph(first, is_lead=True),
        *((Paragraph(" ".join(rest)),) if rest else ()),
        *observations.findings_table(diagnosis),
    )


def _caption(diagnosis: Diagnosis) -> str:
    found = [phrases.finding_words(finding) for finding in diagnosis.case.findings]
    marks = f", with marks: {'; '.join(found)}" if found else "; nothing was found to mark"
    return f"Loss over steps{marks}."
