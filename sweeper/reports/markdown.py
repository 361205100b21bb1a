"""The report as Markdown: every value is escaped unless it is Markdown already."""

from __future__ import annotations

from dataclasses import fields
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from sweeper.reports.content import ReportContent
from sweeper.reports.escaping import Markdown, escape_markdown, fence
from sweeper.reports.tables import markdown_table


def render_markdown(content: ReportContent) -> str:
    """The whole report; figures and files are linked by relative path."""
    values = {field.name: getattr(content, field.name) for field in fields(content)}
    table = Markdown(markdown_table(content.rows))
    return _environment().get_template("report.md.j2").render(values, trials_table=table)


def _environment() -> Environment:
    """An environment that escapes by default, as HTML's does: `finalize` sees every value.

    Jinja's own `autoescape` follows HTML's rules, which do not fit Markdown.
    """
    environment = Environment(
        loader=PackageLoader("sweeper.reports"),
        autoescape=False,
        finalize=_escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["fence"] = fence
    environment.filters["link"] = lambda path: Markdown(quote(path))
    return environment


def _escape(value: object) -> str:
    return value if isinstance(value, Markdown) else escape_markdown(value)
