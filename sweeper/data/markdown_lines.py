"""A Markdown file's lines: which are code, headings, or markers of questions and answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)", re.DOTALL)
_SETEXT = re.compile(r" {0,3}(=+|-{3,})[ \t]*")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*")
_NOT_A_TITLE = re.compile(r"[ \t]*(?:[-*+>|#]|\d+[.)][ \t])| {4}|\t")
_YAML_LINE = re.compile(r"[\w.-]+[ \t]*:(?:[ \t]|$)|[ \t]|#|-[ \t]|$")
# `Q:`, `**Question 3:** …`, `### Q: …`, `- A: …`; the emphasis may close before the colon, after
# it, or at the end of the line.
_MARKER = re.compile(
    r" {0,3}(?:[-*+>][ \t]+|\d{1,6}[.)][ \t]+)?(?P<heading>\#{1,6}[ \t]+)?"
    r"(?P<emphasis>\*\*\*|\*\*|__|\*|_)?(?P<word>Q|A|Question|Answer|QUESTION|ANSWER)"
    r"(?:[ \t]?\#?\d{1,6})?(?P<early>\*{1,3}|_{1,2})?[ \t]?[:\uff1a](?P<late>\*{1,3}|_{1,2})?"
)
# `## Question` and `## Answer 2`: a heading of nothing else needs no colon.
_BARE_MARKER = re.compile(
    r" {0,3}(?P<heading>\#{1,6}[ \t]+)(?P<emphasis>\*\*|__)?(?P<word>Question|Answer)"
    r"(?:[ \t]?\#?\d{1,6})?(?P<early>\*\*|__)?(?P<late>)[ \t]*"
)


@dataclass(frozen=True)
class MarkdownLines:
    """A file's lines; numbers are 1-based, indices 0-based.

    Attributes:
        lines: Without newlines.
        first: Index of the first line behind the front matter.
        code: Numbers of the lines in fenced code, the fences included.
        open_fence: Number of a fence that nothing closes, 0 where there is none.
    """

    lines: list[str]
    first: int
    code: frozenset[int]
    open_fence: int

    @classmethod
    def parse(cls, text: str) -> MarkdownLines:
        lines = text.split("\n")
        code, open_fence = _find_code(lines)
        return cls(lines, _skip_front_matter(lines), code, open_fence)

    def heading(self, index: int) -> tuple[int, str, int] | None:
        """Level, words and number of lines of the heading that begins at an index, if any.

        An underlined line is a heading only if it stands alone above its underline: below a
        longer paragraph, `---` is a rule more often than not.
        """
        line = self.lines[index]
        if index + 1 in self.code:
            return None
        if line.lstrip(" ").startswith("#"):
            return _atx_heading(line)
        following = self.lines[index + 1] if index + 1 < len(self.lines) else ""
        underline = _SETEXT.fullmatch(following) if following else None
        alone = index == self.first or not self.lines[index - 1].strip()
        if underline and alone and line.strip() and not _NOT_A_TITLE.match(line):
            return (1 if underline[1][0] == "=" else 2), line.strip(), 2
        return None

    def marker(self, index: int) -> re.Match[str] | None:
        """The marker of a question or an answer that a line begins with, if any."""
        line = self.lines[index]
        return (
            None if index + 1 in self.code else _MARKER.match(line) or _BARE_MARKER.fullmatch(line)
        )


def _find_code(lines: list[str]) -> tuple[frozenset[int], int]:
    """Numbers of the lines in fenced code. A fence that nothing closes opens nothing."""
    fences = [(i, match) for i, line in enumerate(lines) if (match := _FENCE.fullmatch(line))]
    longest_closer = {"`": 0, "~": 0}
    closable: dict[int, bool] = {}
    for index, match in reversed(fences):
        mark, is_closer = match[1], not match[2].strip()
        closable[index] = longest_closer[mark[0]] >= len(mark)
        if is_closer:
            longest_closer[mark[0]] = max(longest_closer[mark[0]], len(mark))
    code: set[int] = set()
    opener: tuple[int, str] | None = None
    open_fence = 0
    for index, match in fences:
        mark, rest = match[1], match[2]
        if opener is None:
            if mark[0] == "`" and "`" in rest:
                continue  # inline code, not a fence
            opener = (index, mark) if closable[index] else None
            open_fence = open_fence if opener else open_fence or index + 1
        elif mark.startswith(opener[1]) and not rest.strip():
            code.update(range(opener[0] + 1, index + 2))
            opener = None
    return frozenset(code), open_fence


def _skip_front_matter(lines: list[str]) -> int:
    """Index of the first line behind `---`, YAML, `---`; a pair between two rules is no YAML."""
    if lines[0].rstrip() != "---":
        return 0
    for index, line in enumerate(lines[1:], 1):
        if line.rstrip() in ("---", "..."):
            return index + 1 if index > 1 and lines[1].strip() else 0
        if not _YAML_LINE.match(line) or _MARKER.match(line):
            return 0
    return 0


def _atx_heading(line: str) -> tuple[int, str, int] | None:
    words = line.lstrip(" ")
    level = len(words) - len(words.lstrip("#"))
    if len(line) - len(words) > 3 or level > 6 or words[level : level + 1] not in ("", " ", "\t"):
        return None
    return level, without_closer(words[level:].strip()), 1


def without_closer(words: str) -> str:
    """A heading's words without the `##` that may close it (`C#` keeps its own)."""
    inner = words.rstrip("#")
    return inner.rstrip() if not inner or inner[-1] in " \t" else words


def plain_words(words: str) -> str:
    """A heading or question without the emphasis around the whole of it."""
    for mark in ("***", "**", "__"):
        inner = words[len(mark) : -len(mark)]
        if words.startswith(mark) and words.endswith(mark) and inner and mark not in inner:
            return inner.strip()
    return words


def body_text(lines: list[str]) -> str:
    """Lines as text, without blank lines and horizontal rules at both ends."""
    start, end = 0, len(lines)
    while start < end and is_blank(lines[start]):
        start += 1
    while end > start and is_blank(lines[end - 1]):
        end -= 1
    return "\n".join(lines[start:end]).rstrip()


def is_blank(line: str) -> bool:
    return not line or line.isspace() or bool(_RULE.fullmatch(line))
