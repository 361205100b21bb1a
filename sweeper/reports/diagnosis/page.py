"""A diagnosis as Markdown and as one HTML page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.reports import words
from sweeper.reports.diagnosis.blocks import Block
from sweeper.reports.templating import data_uri, html_environment, markdown_environment


def render_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The blocks as Markdown; nothing in them is taken for markup."""
    template = markdown_environment().get_template("diagnosis.md.j2")
    return template.render(title=title, blocks=blocks, absent=words.ABSENT)


def render_html(title: str, blocks: Sequence[Block], picture: bytes | None = None) -> str:
    """The blocks as a page without script, and without any address outside itself.

    Args:
        title: Of the page.
        blocks: What it says.
        picture: The figure as a PNG, to be put into the page; None leaves it out.
    """
    template = html_environment().get_template("diagnosis.html.j2")
    image = "" if picture is None else data_uri(picture)
    return template.render(title=title, blocks=blocks, picture=image)
