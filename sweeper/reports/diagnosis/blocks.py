"""What a report is made of: plain texts in blocks, before they are Markdown or HTML.

One list of blocks goes through two small templates, so that both formats say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sweeper.reports import words


@dataclass(frozen=True)
class Heading:
    """A title; `tone` is a word for the style sheet, such as a verdict."""

    kind: ClassVar[str] = "heading"
    text: str
    level: int = 2
    tone: str = ""


@dataclass(frozen=True)
class Paragraph:
    """Some sentences; the leading one stands out."""

    kind: ClassVar[str] = "paragraph"
    text: str
    is_lead: bool = False


@dataclass(frozen=True)
class Item:
    """A line of a list, with a word in front of it or none."""

    text: str
    label: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list."""

    kind: ClassVar[str] = "bullets"
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Row:
    """Cells of a table; a marked row stands out."""

    cells: tuple[str, ...]
    is_marked: bool = False


@dataclass(frozen=True)
class Table:
    """A table; `right` holds the columns, from 0, whose numbers stand right."""

    kind: ClassVar[str] = "table"
    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    kind: ClassVar[str] = "code"
    text: str
    language: str = "sh"


@dataclass(frozen=True)
class Picture:
    """The figure, with the words for those who cannot see it."""

    kind: ClassVar[str] = "picture"
    file: str
    caption: str


Block = Heading | Paragraph | Bullets | Table | Code | Picture


def bullets(texts: tuple[str, ...]) -> tuple[Block, ...]:
    """A list of sentences; no block where there is none."""
    return (Bullets(tuple(Item(words.clean(text)) for text in texts)),) if texts else ()
