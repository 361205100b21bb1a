"""Reads a corpus: a file, a folder of files, or one that comes with sweeper."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeper.data.decoding import decode
from sweeper.data.document import Corpus, Document, fingerprint_documents
from sweeper.data.jsonl import read_jsonl
from sweeper.data.markdown import read_markdown
from sweeper.data.paragraphs import read_paragraphs
from sweeper.data.pydoc_qa import (
    PYDOC_QA,
    PYTHON_REFERENCE,
    pydoc_questions,
    reference_topics,
)
from sweeper.errors import DataError

FORMATS = ("auto", "markdown", "text", "jsonl")
BUILTIN_CORPORA = (PYDOC_QA, PYTHON_REFERENCE)

_FORMAT_OF_SUFFIX = {".md": "markdown", ".markdown": "markdown", ".txt": "text", ".jsonl": "jsonl"}
# Measured at the peak, on files of 25 MB: 3 to 4 for reading, 10 to 13 with the tokens.
_MEMORY_PER_BYTE = 12
_SUFFIXES = ", ".join(_FORMAT_OF_SUFFIX)
_MAX_CANDIDATES = 5
_AS_MARKDOWN = "read as plain paragraphs; name the file .md to read them as questions and answers"


def read_corpus(
    source: str, folder: Path, *, format: str = "auto", max_bytes: int | None = None
) -> Corpus:
    """Reads all documents of a source.

    Args:
        source: `builtin:pydoc-qa`, `builtin:python-reference`, or a path: a file, or a directory
            of which all `.md`, `.txt` and `.jsonl` files are read, sorted by path.
        folder: What a relative path is relative to.
        format: One of `FORMATS`; `auto` goes by each file's suffix.
        max_bytes: Size at most, in bytes of the files; None allows what fits the memory.

    Raises:
        DataError: The source does not exist, cannot be read, is too large, or holds no text.
    """
    if format not in FORMATS:
        raise DataError(f"unknown format {format!r} (allowed: {', '.join(FORMATS)})")
    if source.startswith("builtin:"):
        return _read_builtin(source)
    files = _find_files(source, folder, format)
    _refuse_large(source, sum(file.stat().st_size for file, _ in files), max_bytes)
    parts = [_read_file(file, name, format) for file, name in files]
    if len(files) == 1 and not parts[0].documents:
        raise DataError(f"{parts[0].warnings[0]}; give a file with text")
    return _corpus(
        source,
        "+".join(sorted({part.format for part in parts if part.documents})),
        [document for part in parts for document in part.documents],
        [warning for part in parts for warning in part.warnings],
    )


def _corpus(
    source: str, format: str, documents: Sequence[Document], warnings: Sequence[str]
) -> Corpus:
    if not documents:
        raise DataError(f"{source}: no document in it; give a corpus with text")
    fingerprint = fingerprint_documents(documents)
    return Corpus(source, format, tuple(documents), fingerprint, tuple(warnings))


def _read_builtin(source: str) -> Corpus:
    if source == PYDOC_QA:
        return _corpus(source, "builtin", pydoc_questions(), ())
    if source == PYTHON_REFERENCE:
        return _corpus(source, "builtin", reference_topics(), ())
    raise DataError(
        f"{source}: no such corpus comes with sweeper (allowed: {', '.join(BUILTIN_CORPORA)}, or "
        f"the path of a file or directory)"
    )


def _find_files(source: str, folder: Path, format: str) -> list[tuple[Path, str]]:
    """The files to read, each with the name that its documents carry."""
    path = folder / source
    if path.is_file():
        _file_format(path, source, format)
        return [(path, path.name)]
    if not source.strip() or not path.is_dir():
        kind = "is neither a file nor a directory" if path.exists() else "does not exist"
        kind = kind if source.strip() else "no corpus is named"
        raise DataError(
            f"{source or '(empty)'}: {kind}, seen from the working folder or the study's (allowed: "
            f"a {_SUFFIXES} file, a directory of them, {', '.join(BUILTIN_CORPORA)}"
            f"{_list_candidates(folder)})"
        )
    files = [(file, file.relative_to(path).as_posix()) for file in _text_files(path)]
    if not files:
        raise DataError(
            f"{source}: no {_SUFFIXES} file in this directory; put the corpus there, or name a file"
        )
    return files


def _text_files(directory: Path) -> list[Path]:
    """All files of a known suffix, sorted; hidden files and directories stay hidden."""
    return sorted(
        file
        for file in directory.rglob("*")
        if file.suffix.lower() in _FORMAT_OF_SUFFIX
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(directory).parts)
    )


def _list_candidates(folder: Path) -> str:
    if not folder.is_dir():
        return ""
    names = sorted(f.name for f in folder.iterdir() if f.suffix.lower() in _FORMAT_OF_SUFFIX)
    return f"; there are {', '.join(names[:_MAX_CANDIDATES])}" if names else ""


def _file_format(path: Path, name: str, format: str) -> str:
    if format != "auto":
        return format
    found = _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if found is None:
        raise DataError(
            f"{name}: its suffix {path.suffix!r} does not tell the format (allowed: {_SUFFIXES}); "
            f"convert the file to one of them, or rename it"
        )
    return found


def _refuse_large(source: str, num_bytes: int, max_bytes: int | None) -> None:
    if max_bytes is None:
        memory = _physical_memory()
        limit = memory // _MEMORY_PER_BYTE
        reason = f"reading takes about {_MEMORY_PER_BYTE} times that, of {memory:,} bytes of memory"
    else:
        limit, reason = max_bytes, f"at most {max_bytes:,} are allowed"
    if num_bytes > limit:
        raise DataError(
            f"{source}: {num_bytes:,} bytes are too many: {reason}; train on a part of it (a run "
            f"of 400,000 tokens reads about 2,000,000 bytes), or use a machine with more memory"
        )


def _physical_memory() -> int:
    """Bytes of this machine's memory, or 2**63 - 1 where the system does not tell.

    All of it, not what is free just now: free memory leaves out the file cache, which the system
    gives back when asked.
    """
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return 2**63 - 1


@dataclass(frozen=True)
class _Part:
    """What one file gave."""

    format: str
    documents: Sequence[Document]
    warnings: Sequence[str]


def _read_file(path: Path, name: str, format: str) -> _Part:
    format = _file_format(path, name, format)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{name}: cannot be read ({error.strerror}); check the file and its permissions"
        ) from error
    decoded = decode(raw, name)
    if not decoded.text or decoded.text.isspace():
        return _Part(format, (), [f"{name}: the file has no text ({len(raw):,} bytes)"])
    part = _read_text(decoded.text, name, format)
    return _Part(part.format, part.documents, [*decoded.warnings, *part.warnings])


def _read_text(text: str, name: str, format: str) -> _Part:
    if format == "jsonl":
        return _Part("jsonl", *read_jsonl(text, name))
    if format == "text":
        has_pairs = "\nQ:" in text and "\nA:" in text
        warnings = [f"{name}: has lines with Q: and A:; {_AS_MARKDOWN}"] if has_pairs else []
        return _Part("text", tuple(read_paragraphs(text.split("\n"), name)), warnings)
    file = read_markdown(text, name)
    return _Part(file.format, file.documents, file.warnings)
