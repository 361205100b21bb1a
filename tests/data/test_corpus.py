"""Sources: files, directories, builtin corpora, and sources that do not work."""

from __future__ import annotations

import builtins
import hashlib
import os
import sys
from pathlib import Path

import pytest

from sweeper.data import Document, general_text, read_corpus
from sweeper.errors import DataError


def test_a_text_file_is_split_at_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n# one\ntwo  \n \n\nthree\n")
    corpus = read_corpus("a.txt", tmp_path)
    assert corpus.documents == (
        Document("# one\ntwo", "a.txt:2"),
        Document("three", "a.txt:6"),
    )
    assert (corpus.source, corpus.format, corpus.warnings) == ("a.txt", "text", ())


def test_a_text_file_with_pairs_says_how_to_read_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\nQ: one?\nA: yes\n")
    assert read_corpus("a.txt", tmp_path).warnings == (
        "a.txt: has lines with Q: and A:; read as plain paragraphs; name the file .md to read them "
        "as questions and answers",
    )


def test_a_given_format_overrides_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "notes.log").write_text("Q: one?\nA: yes\nQ: two?\nA: no")
    assert read_corpus("notes.log", tmp_path, format="markdown").format == "markdown-qa"


def test_a_directory_is_read_in_order_of_its_paths(tmp_path: Path) -> None:
    (tmp_path / "set" / "sub").mkdir(parents=True)
    (tmp_path / "set" / ".hidden").mkdir()
    for name, text in {
        "b.txt": "from b",
        "A.MD": "from A",
        "sub/c.jsonl": '{"text": "from c"}',
        ".hidden/d.txt": "hidden",
        "e.py": "no corpus",
        "empty.txt": "\n",
    }.items():
        (tmp_path / "set" / name).write_text(text)
    corpus = read_corpus("set", tmp_path)
    assert [(document.text, document.name) for document in corpus.documents] == [
        ("from A", "A.MD:1"),
        ("from b", "b.txt:1"),
        ("from c", "sub/c.jsonl:1"),
    ]
    assert corpus.format == "jsonl+markdown-paragraphs+text"
    assert corpus.warnings == ("empty.txt: the file has no text (1 bytes)",)


def test_the_fingerprint_is_of_the_content_alone(tmp_path: Path) -> None:
    def fingerprint(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return read_corpus(name, tmp_path).fingerprint

    first = fingerprint("a.txt", "one\n\ntwo")
    assert first == hashlib.sha256(b"3 ()\none3 ()\ntwo").hexdigest()
    assert fingerprint("b.txt", "\r\none\r\n\r\n\r\ntwo") == first
    assert fingerprint("c.txt", "one\n\ntwo.") != first
    assert fingerprint("d.txt", "one\ntwo") != first
    pair = fingerprint("e.jsonl", '{"question": "a", "answer": "b"}')
    assert pair != fingerprint("f.jsonl", '{"text": "Q: a\\nA: b"}')


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "lost.md",
            "lost.md: does not exist, seen from the working folder or the study's (allowed: a .md, "
            ".markdown, .txt, .jsonl file, a directory of them, builtin:pydoc-qa, "
            "builtin:python-reference; there are here.md)",
        ),
        ("", "(empty): no corpus is named, seen from"),
        ("pipe", "pipe: is neither a file nor a directory"),
        (
            "builtin:pydoc",
            "builtin:pydoc: no such corpus comes with sweeper (allowed: builtin:pydoc-qa, "
            "builtin:python-reference, or the path of a file or directory)",
        ),
        (
            "table.csv",
            "table.csv: its suffix '.csv' does not tell the format (allowed: .md, .markdown, .txt, "
            ".jsonl); convert the file to one of them, or rename it",
        ),
        ("bare", "bare: no .md, .markdown, .txt, .jsonl file in this directory; put the corpus"),
        ("blank", "blank: no document in it; give a corpus with text"),
    ],
)
def test_a_source_that_does_not_work_is_told(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "here.md").write_text("text")
    (tmp_path / "table.csv").write_text("a,b")
    (tmp_path / "bare").mkdir()
    (tmp_path / "blank").mkdir()
    (tmp_path / "blank" / "a.txt").write_text("")
    (tmp_path / "blank" / "b.txt").write_text("")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError) as caught:
        read_corpus(source, tmp_path)
    assert str(caught.value).startswith(message)
    assert str(tmp_path) not in str(caught.value)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown format 'csv' \(allowed: auto, markdown, text, "):
        read_corpus("a.csv", tmp_path, format="csv")


def test_a_corpus_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 2_000)
    assert read_corpus("a.txt", tmp_path, max_bytes=2_000).documents
    with pytest.raises(DataError) as caught:
        read_corpus("a.txt", tmp_path, max_bytes=1_999)
    assert str(caught.value).startswith(
        "a.txt: 2,000 bytes are too many: at most 1,999 are allowed; train on a part of it"
    )


def test_a_corpus_larger_than_memory_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(2**43)  # a sparse file: 8 TiB that take no place
    with pytest.raises(
        DataError, match=r"8,796,093,022,208 bytes are too many: reading takes abou"
    ):
        read_corpus("a.txt", tmp_path)


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "a.txt").write_text("text")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError) as caught:
        read_corpus("a.txt", tmp_path)
    assert str(caught.value) == (
        "a.txt: cannot be read (Permission denied); check the file and its permissions"
    )


def test_the_builtin_questions(tmp_path: Path) -> None:
    corpus = read_corpus("builtin:pydoc-qa", tmp_path)
    assert 3_200 < len(corpus.documents) < 4_400
    assert 0.9e6 < sum(len(document.text) for document in corpus.documents) < 1.4e6
    names = [document.name for document in corpus.documents]
    assert len(set(names)) == len(names)
    assert names == sorted(names)
    documents = {document.name: document for document in corpus.documents}
    wrap = documents["builtin:pydoc-qa/textwrap.wrap"]
    assert wrap.text.startswith(
        "Q: What does `textwrap.wrap` do?\nA: `wrap(text, width=70, **kwargs)`\n\n"
        "Wrap a single paragraph of text, returning a list of wrapped lines."
    )
    ((start, end),) = wrap.answer_spans
    assert wrap.text[start:end].startswith("`wrap(")
    assert end == len(wrap.text)
    for name in ("heapq", "textwrap.TextWrapper.fill", "math.comb", "str.join", "argparse"):
        assert f"builtin:pydoc-qa/{name}" in documents
    assert read_corpus("builtin:pydoc-qa", tmp_path).fingerprint == corpus.fingerprint


def test_the_builtin_reference(tmp_path: Path) -> None:
    corpus = read_corpus("builtin:python-reference", tmp_path)
    assert tuple(document.text for document in corpus.documents) == general_text()
    assert 0.3e6 < sum(map(len, general_text())) < 0.8e6
    assert corpus.documents[0].name == "builtin:python-reference/assert"
    assert not any(document.answer_spans for document in corpus.documents)


def test_a_python_without_its_reference_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="this Python comes without pydoc_data"):
        general_text()


def test_the_builtin_corpus_does_not_hang_on_what_a_program_does_to_its_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_corpus("builtin:pydoc-qa", tmp_path)
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    monkeypatch.setattr(sys, "displayhook", lambda *_: None)
    monkeypatch.setattr(builtins, "exit", print, raising=False)

    assert read_corpus("builtin:pydoc-qa", tmp_path).fingerprint == before.fingerprint
