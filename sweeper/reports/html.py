"""The report as one self-contained HTML page: no script, no address outside the page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import fields

from jinja2 import Environment, PackageLoader, StrictUndefined

from sweeper.reports.content import ReportContent
from sweeper.reports.tables import LEFT_ALIGNED, columns


def render_html(content: ReportContent, figures: Mapping[str, bytes]) -> str:
    """The whole report.

    Args:
        content: What it says.
        figures: The PNG of each figure by its file's name; they are put into the page.
    """
    environment = Environment(
        loader=PackageLoader("sweeper.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    values = {field.name: getattr(content, field.name) for field in fields(content)}
    return environment.get_template("report.html.j2").render(
        values,
        images={name: _data_uri(png) for name, png in figures.items()},
        columns=columns(),
        left=LEFT_ALIGNED,
    )


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode('ascii')}"
