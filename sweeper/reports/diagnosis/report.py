"""Writes a diagnosis into a folder: Markdown, one HTML page, JSON, and the figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.reports.diagnosis.content import FIGURE_FILE, report_blocks, report_title
from sweeper.reports.diagnosis.page import render_html, render_markdown
from sweeper.reports.diagnosis.record import diagnosis_json
from sweeper.reports.files import replace_file

MARKDOWN_FILE = "report.md"
HTML_FILE = "report.html"
JSON_FILE = "diagnosis.json"


@dataclass(frozen=True)
class ReportPaths:
    """Where a report lies."""

    markdown: Path
    html: Path
    json: Path
    figure: Path

    @property
    def all(self) -> tuple[Path, ...]:
        """The page for a browser first."""
        return (self.html, self.markdown, self.json, self.figure)


def markdown_report(diagnosis: Diagnosis) -> str:
    """The report as text alone, for a pipe."""
    return render_markdown(report_title(diagnosis), report_blocks(diagnosis, with_figure=False))


def write_report(diagnosis: Diagnosis, folder: Path) -> ReportPaths:
    """Write or renew a report; each file is replaced whole.

    Args:
        diagnosis: What to write.
        folder: Made where it is missing.

    Raises:
        StorageError: A file cannot be written.
    """
    # matplotlib takes longer to import than all the rest: only here is a figure wanted.
    from sweeper.reports import canvas
    from sweeper.reports.diagnosis.figure import figure_diagnosis

    picture = canvas.draw(figure_diagnosis, diagnosis)
    title, blocks = report_title(diagnosis), report_blocks(diagnosis, with_figure=True)
    return ReportPaths(
        figure=replace_file(folder / FIGURE_FILE, picture),
        json=replace_file(folder / JSON_FILE, diagnosis_json(diagnosis)),
        markdown=replace_file(folder / MARKDOWN_FILE, render_markdown(title, blocks)),
        html=replace_file(folder / HTML_FILE, render_html(title, blocks, picture)),
    )
