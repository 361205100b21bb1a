"""What a corpus consists of: documents, each with the place that it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One text that belongs together: a question with its answer, a paragraph, a conversation.

    Attributes:
        text: The text as it is tokenized, newlines as `\\n`.
        name: Where it is from, such as `training.md:120` or `builtin:pydoc-qa/textwrap.wrap`;
            never an absolute path.
        answer_spans: Character ranges `[start, end)` of `text` that are answers, ascending and
            disjoint. Empty where the format knows no answers.
    """

    text: str
    name: str
    answer_spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Corpus:
    """All documents of one source, in the order of the source.

    Attributes:
        source: The source as the study file names it.
        format: How it was read: `markdown-qa`, `markdown-headings`, `markdown-paragraphs`,
            `text`, `jsonl` or `builtin`; several, joined by `+`, for a directory.
        documents: At least one document.
        fingerprint: SHA-256 (hex) of the texts and answer spans, so that the same content has
            the same fingerprint on every machine and under every path.
        warnings: What was read in another way than the reader of the file may expect.
    """

    source: str
    format: str
    documents: tuple[Document, ...]
    fingerprint: str
    warnings: tuple[str, ...] = ()


def question_and_answer(question: str, answer: str, name: str) -> Document:
    """The one rendering of a pair, whatever format it came from."""
    prefix = f"Q: {question}\nA: "
    return Document(prefix + answer, name, ((len(prefix), len(prefix) + len(answer)),))


def fingerprint_documents(documents: Iterable[Document]) -> str:
    """SHA-256 (hex) over texts and answer spans; names and paths do not count."""
    digest = hashlib.sha256()
    for document in documents:
        text = document.text.encode("utf-8")
        digest.update(f"{len(text)} {document.answer_spans}\n".encode())
        digest.update(text)
    return digest.hexdigest()


def document_key(document: Document) -> bytes:
    """Equal for documents that are equal but for whitespace: SHA-256 of the words."""
    return hashlib.sha256(" ".join(document.text.split()).encode("utf-8")).digest()
