"""The report as one self-contained HTML page: no script, no address outside the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from sweeper.reports.content import ReportContent
from sweeper.reports.examinations import DOCUMENT_HEADINGS, EXPERIMENT_HEADINGS
from sweeper.reports.tables import LEFT_ALIGNED, columns
from sweeper.reports.templating import data_uri, html_environment


def render_html(content: ReportContent, figures: Mapping[str, bytes]) -> str:
    """The whole report.

    Args:
        content: What it says.
        figures: The PNG of each figure by its file's name; they are put into the page.
    """
    values = {field.name: getattr(content, field.name) for field in fields(content)}
    return (
        html_environment()
        .get_template("report.html.j2")
        .render(
            values,
            images={name: data_uri(png) for name, png in figures.items()},
            columns=columns(),
            left=LEFT_ALIGNED,
            experiment_headings=EXPERIMENT_HEADINGS,
            document_headings=DOCUMENT_HEADINGS,
        )
    )
