"""The two environments of the templates: both escape whatever is not marked as safe."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from sweeper.reports.escaping import Markdown, escape_markdown, fence


def markdown_environment() -> Environment:
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


def html_environment() -> Environment:
    """An environment with HTML's own escaping."""
    return Environment(
        loader=PackageLoader("sweeper.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(png: bytes) -> str:
    """A picture as an address that holds it whole."""
    return f"data:image/png;base64,{b64encode(png).decode('ascii')}"


def _escape(value: object) -> str:
    return value if isinstance(value, Markdown) else escape_markdown(value)
