"""Markdown as questions and answers: by markers, by headings, or else by paragraphs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from sweeper.data.document import Document, question_and_answer
from sweeper.data.markdown_lines import (
    MarkdownLines,
    body_text,
    is_blank,
    plain_words,
    without_closer,
)
from sweeper.data.paragraphs import read_paragraphs

MIN_PAIRS = 2
"""So many pairs make a file a question-and-answer file; one alone may be chance."""


@dataclass(frozen=True)
class MarkdownFile:
    """A Markdown file's documents.

    Attributes:
        format: `markdown-qa`, `markdown-headings` or `markdown-paragraphs`.
        documents: In the order of the file.
        warnings: Structure that is broken, and how it was read.
    """

    format: str
    documents: tuple[Document, ...]
    warnings: tuple[str, ...]


def read_markdown(text: str, name: str) -> MarkdownFile:
    """Reads questions and answers, by the first of these that finds two of them.

    1. Markers: `Q:` and `A:`, `**Question:**` and `**Answer:**`, in a heading or a list too. An
       answer ends at the next question, or at a heading that is not below the one above the
       question (with none above it: at a heading of level 1 or 2). Text outside of all pairs is
       kept as documents without answers.
    2. Headings: each heading with text under it asks, and the text up to the next heading
       answers. A heading without text puts its words in front of the headings below it, unless
       it is the title of the file. Text before the first heading has no answer.
    3. Paragraphs, without answers.

    Headings and markers within fenced code are code. YAML front matter is skipped.

    Args:
        text: The file's text.
        name: The file's name in documents' names and in messages.
    """
    lines = MarkdownLines.parse(text)
    pairs = _PairReader(lines, name).read()
    if pairs.num_pairs >= MIN_PAIRS:
        return MarkdownFile("markdown-qa", tuple(pairs.documents), _warnings(lines, name, pairs))
    sections = _sections(lines)
    if sum(section.level > 0 and bool(section.body(lines)) for section in sections) >= MIN_PAIRS:
        documents = _read_sections(lines, sections, name)
        return MarkdownFile("markdown-headings", documents, _warnings(lines, name))
    documents = tuple(_paragraphs(lines, lines.first, len(lines.lines), name))
    return MarkdownFile("markdown-paragraphs", documents, _warnings(lines, name))


@dataclass(frozen=True)
class _Section:
    """A heading (level 0: none) and its lines `[start, end)` up to the next heading."""

    level: int
    words: str
    line: int
    start: int
    end: int

    def body(self, lines: MarkdownLines) -> str:
        return body_text(lines.lines[self.start : self.end])


def _sections(lines: MarkdownLines) -> list[_Section]:
    sections = []
    level, words, line, start = 0, "", lines.first + 1, lines.first
    index = lines.first
    while index < len(lines.lines):
        heading = lines.heading(index)
        if heading is None:
            index += 1
            continue
        sections.append(_Section(level, words, line, start, index))
        level, words, length = heading
        line = index + 1
        index = start = index + length
    return [*sections, _Section(level, words, line, start, index)]


def _read_sections(
    lines: MarkdownLines, sections: list[_Section], name: str
) -> tuple[Document, ...]:
    documents: list[Document] = []
    titles = [section for section in sections if section.level == 1]
    context: list[_Section] = []
    for section in sections:
        body = section.body(lines)
        context = [outer for outer in context if outer.level < section.level]
        if not section.level:
            documents += _paragraphs(lines, section.start, section.end, name)
        elif body:
            words = [plain_words(outer.words) for outer in [*context, section]]
            question = ": ".join(filter(None, words))
            documents.append(question_and_answer(question, body, f"{name}:{section.line}"))
        elif [section] != titles:
            context.append(section)
    return tuple(documents)


def _paragraphs(lines: MarkdownLines, start: int, end: int, name: str) -> list[Document]:
    """The paragraphs of the lines with index `[start, end)`, without horizontal rules."""
    part = lines.lines[start:end]
    paragraphs = read_paragraphs(part, name, first_line=start + 1, unbroken=lines.code)
    return [document for document in paragraphs if not is_blank(document.text)]


@dataclass
class _PairReader:
    """Reads marked pairs line by line; `read` is called once."""

    lines: MarkdownLines
    name: str
    documents: list[Document] = field(default_factory=list)
    num_pairs: int = 0
    incomplete: list[int] = field(default_factory=list)
    _state: Literal["outside", "question", "answer"] = "outside"
    _outside: list[int] = field(default_factory=list)
    _question: list[str] = field(default_factory=list)
    _answer: list[str] = field(default_factory=list)
    _question_line: int = 0
    _level: int = 0
    _inner_level: int = 3

    def read(self) -> _PairReader:
        for index in range(self.lines.first, len(self.lines.lines)):
            marker = self.lines.marker(index)
            heading = self.lines.heading(index)
            if marker and marker["word"][0] == "Q":
                self._begin_question(index, marker)
            elif marker and self._state == "question":
                self._state = "answer"
                self._answer = [_behind(marker, self.lines.lines[index])]
            elif heading and self._ends_pair(index, heading):
                self._end_pair()
                self._level = heading[0]
                self._outside.append(index)
            else:
                self._add(index)
        self._end_pair()
        self._end_outside()
        return self

    def _begin_question(self, index: int, marker: re.Match[str]) -> None:
        self._end_pair()
        self._end_outside()
        self._state = "question"
        self._question_line = index + 1
        self._question = [_behind(marker, self.lines.lines[index])]
        if marker["heading"]:
            # `### Q: …` is a heading of its own, and what stands under it answers it.
            self._question.append("")
            self._inner_level = len(marker["heading"].strip()) + 1
        else:
            self._inner_level = self._level + 1 if self._level else 3

    def _ends_pair(self, index: int, heading: tuple[int, str, int]) -> bool:
        """Whether a heading closes the pair that is open (outside, every heading counts)."""
        if heading[2] == 2 and self._state != "outside" and is_blank(self.lines.lines[index + 1]):
            return False  # a line of an answer above a rule that separates pairs
        if self._state == "outside" or heading[0] < self._inner_level:
            return True
        following = index + heading[2]
        while following < len(self.lines.lines) and is_blank(self.lines.lines[following]):
            following += 1
        marker = self.lines.marker(following) if following < len(self.lines.lines) else None
        return marker is not None and marker["word"][0] == "Q"

    def _add(self, index: int) -> None:
        if self._state == "outside":
            self._outside.append(index)
        else:
            part = self._question if self._state == "question" else self._answer
            part.append(self.lines.lines[index])

    def _end_pair(self) -> None:
        if self._state == "outside":
            return
        question, answer = self._question, self._answer
        # Without an `A:`, the first paragraph asks and the rest answers.
        blank = next((i for i, line in enumerate(question) if not line.strip()), 0)
        if self._state == "question" and blank:
            question, answer = question[:blank], question[blank:]
        self._add_pair(plain_words(body_text(question)), body_text(answer))
        self._state, self._question, self._answer = "outside", [], []

    def _add_pair(self, question: str, answer: str) -> None:
        place = f"{self.name}:{self._question_line}"
        if question and answer:
            self.documents.append(question_and_answer(question, answer, place))
            self.num_pairs += 1
            return
        self.incomplete.append(self._question_line)
        if question or answer:
            self.documents.append(Document(f"Q: {question}" if question else answer, place))

    def _end_outside(self) -> None:
        """Keeps the text between pairs, unless it is nothing but headings."""
        headings = {
            i + k for i in self._outside if (h := self.lines.heading(i)) for k in range(h[2])
        }
        if any(i not in headings and not is_blank(self.lines.lines[i]) for i in self._outside):
            text = body_text([self.lines.lines[i] for i in self._outside])
            first = next(i for i in self._outside if not is_blank(self.lines.lines[i]))
            self.documents.append(Document(text, f"{self.name}:{first + 1}"))
        self._outside = []


def _behind(marker: re.Match[str], line: str) -> str:
    """The text behind a marker, without the emphasis that the marker opened."""
    text = line[marker.end() :].strip()
    emphasis = marker["emphasis"] or ""
    if emphasis and not marker["early"] and not marker["late"]:
        text = text.removesuffix(emphasis).rstrip()
    return without_closer(text) if marker["heading"] else text


def _warnings(lines: MarkdownLines, name: str, pairs: _PairReader | None = None) -> tuple[str, ...]:
    warnings = []
    if lines.open_fence:
        warnings.append(
            f"{name}:{lines.open_fence}: a code fence that nothing closes; read it as text"
        )
    if pairs is not None and pairs.incomplete:
        warnings.append(
            f"{name}:{pairs.incomplete[0]}: a question without an answer, or the reverse "
            f"(the first of {len(pairs.incomplete)}); kept as plain text"
        )
    return tuple(warnings)
