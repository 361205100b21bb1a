"""Making plain text safe to stand in Markdown."""

from __future__ import annotations

import re

from sweeper.reports import words

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_ESCAPES = _ENTITIES | {character: f"\\{character}" for character in "\\`*[]|~$#"}
# An underscore inside a word, as in learning_rate, means nothing in GitHub's Markdown.
_EDGE_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


class Markdown(str):
    """Text that is Markdown already and must not be escaped again."""

    __slots__ = ()


def escape_markdown(text: object) -> Markdown:
    """Plain text as Markdown that shows exactly it, on one line, also inside a table.

    Addresses are broken up too, so that no viewer turns a trial's name into a link.
    """
    line = "".join(_ESCAPES.get(character, character) for character in words.clean(text))
    line = _EDGE_UNDERSCORE.sub(r"\\_", line)
    line = line.replace("://", "&#58;//")
    return Markdown(re.sub(r"(?i)\bwww\.", lambda match: match[0][:3] + "&#46;", line))


def fence(code: str, language: str) -> Markdown:
    """A code block whose fence is longer than any run of backticks in the code."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    ticks = "`" * max(3, longest + 1)
    return Markdown(f"{ticks}{language}\n{code.rstrip()}\n{ticks}")
