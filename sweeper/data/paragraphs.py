"""Plain text: a document per paragraph."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sweeper.data.document import Document


def read_paragraphs(
    lines: Sequence[str], name: str, *, first_line: int = 1, unbroken: Collection[int] = ()
) -> Iterator[Document]:
    """Splits lines at blank lines.

    Args:
        lines: Lines without their newlines.
        name: The file's name in the documents' names.
        first_line: 1-based number that `lines[0]` has in the file.
        unbroken: Line numbers at which no paragraph ends, such as blank lines in code.
    """
    paragraph: list[str] = []
    start = first_line
    for number, line in enumerate(lines, first_line):
        if (line and not line.isspace()) or (paragraph and number in unbroken):
            start = start if paragraph else number
            paragraph.append(line)
        elif paragraph:
            yield _document(paragraph, name, start)
            paragraph = []
    if paragraph:
        yield _document(paragraph, name, start)


def _document(paragraph: Sequence[str], name: str, line: int) -> Document:
    return Document("\n".join(paragraph).strip("\n").rstrip(), f"{name}:{line}")
