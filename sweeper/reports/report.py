"""Writing a study's report: Markdown, HTML, figures and the table of trials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweeper.reports.content import (
    CSV_FILE,
    HTML_FILE,
    LEDGER_FILE,
    MARKDOWN_FILE,
    report_content,
)
from sweeper.reports.costs import write_ledger_csv
from sweeper.reports.figures import FIGURES
from sweeper.reports.files import replace_file
from sweeper.reports.html import render_html
from sweeper.reports.markdown import render_markdown
from sweeper.reports.tables import write_trials_csv
from sweeper.search.ledger import keep_books
from sweeper.search.results import StudyResults


@dataclass(frozen=True)
class ReportPaths:
    """Where the parts of a report lie; `figures` by name, in the report's order."""

    html: Path
    markdown: Path
    csv: Path
    ledger: Path
    figures: dict[str, Path]


def write_report(results: StudyResults, folder: Path) -> ReportPaths:
    """Write or renew a study's report.

    Every file is replaced whole, so a report read while it is renewed is never half. Nothing
    in it depends on the time or on where the folder lies: the same results give the same files.

    Args:
        results: The study.
        folder: Where the files go; made where it is missing.

    Raises:
        StorageError: A file cannot be written.
    """
    content = report_content(results)
    figures = {f.name: FIGURES[f.name](results, folder / f.file) for f in content.figures}
    images = {path.name: path.read_bytes() for path in figures.values()}
    return ReportPaths(
        csv=write_trials_csv(results, folder / CSV_FILE),
        ledger=write_ledger_csv(keep_books(results), folder / LEDGER_FILE),
        markdown=replace_file(folder / MARKDOWN_FILE, render_markdown(content)),
        html=replace_file(folder / HTML_FILE, render_html(content, images)),
        figures=figures,
    )
