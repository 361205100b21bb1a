"""The report as Markdown: every value is escaped unless it is Markdown already."""

from __future__ import annotations

from dataclasses import fields

from sweeper.reports.content import ReportContent
from sweeper.reports.escaping import Markdown
from sweeper.reports.examinations import DOCUMENT_HEADINGS, EXPERIMENT_HEADINGS
from sweeper.reports.tables import markdown_table
from sweeper.reports.templating import markdown_environment


def render_markdown(content: ReportContent) -> str:
    """The whole report; figures and files are linked by relative path."""
    values = {field.name: getattr(content, field.name) for field in fields(content)}
    table = Markdown(markdown_table(content.rows))
    template = markdown_environment().get_template("report.md.j2")
    return template.render(
        values,
        trials_table=table,
        experiment_headings=EXPERIMENT_HEADINGS,
        document_headings=DOCUMENT_HEADINGS,
    )
