"""JSONL: every allowed shape, and what is said about others."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.data import Corpus, read_corpus
from sweeper.errors import DataError

SHAPES = (
    "{question, answer}, {prompt, completion}, {instruction, output} with or without input, "
    "{text}, {messages}"
)


def read(folder: Path, text: str) -> Corpus:
    (folder / "a.jsonl").write_text(text)
    return read_corpus("a.jsonl", folder)


@pytest.mark.parametrize(
    ("line", "text", "answers"),
    [
        ('{"question": "one?", "answer": "yes"}', "Q: one?\nA: yes", ["yes"]),
        ('{"answer": " yes\\r\\n", "question": "one?"}', "Q: one?\nA: yes", ["yes"]),
        ('{"prompt": "one?", "completion": " yes"}', "Q: one?\nA: yes", ["yes"]),
        ('{"instruction": "Add", "output": "2"}', "Q: Add\nA: 2", ["2"]),
        ('{"instruction": "Add", "input": "1+1", "output": "2"}', "Q: Add\n1+1\nA: 2", ["2"]),
        ('{"instruction": "Add", "input": "", "output": "2"}', "Q: Add\nA: 2", ["2"]),
        ('{"text": "plain 🙂"}', "plain 🙂", []),
        ('{"text": "\\ud83d\\ude42"}', "🙂", []),
        (
            '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": '
            '"yo"}, {"role": "user", "content": "?"}, {"role": "assistant", "content": "bye"}]}',
            "user: hi\nassistant: yo\nuser: ?\nassistant: bye",
            ["yo", "bye"],
        ),
        ('{"messages": [{"role": "user", "content": "hi"}]}', "user: hi", []),
    ],
)
def test_allowed_shapes(tmp_path: Path, line: str, text: str, answers: list[str]) -> None:
    (document,) = read(tmp_path, line).documents
    assert document.text == text
    assert [document.text[start:end] for start, end in document.answer_spans] == answers


def test_shapes_mix_and_blank_lines_count_as_lines(tmp_path: Path) -> None:
    corpus = read(tmp_path, '\n{"text": "a"}\n\n  \n{"question": "b", "answer": "c"}\n')
    assert [(d.text, d.name) for d in corpus.documents] == [
        ("a", "a.jsonl:2"),
        ("Q: b\nA: c", "a.jsonl:5"),
    ]
    assert corpus.format == "jsonl"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"text": "a"',
            "column 13 is not valid JSON: Expecting ',' delimiter (allowed: one whole JSON object "
            "per line)",
        ),
        ('["a"]', f"the line is a list, not an object (allowed: {SHAPES})"),
        ("7", f"the line is a number, not an object (allowed: {SHAPES})"),
        ("{}", f"unknown set of keys: none (allowed: {SHAPES})"),
        ('{"q": "a", "a": "b"}', f"unknown set of keys: q, a (allowed: {SHAPES})"),
        ('{"text": "a", "id": 1}', f"unknown set of keys: text, id (allowed: {SHAPES})"),
        ('{"text": null}', '"text" is null (allowed: a string)'),
        ('{"text": " "}', '"text" is empty (allowed: a string with text)'),
        ('{"question": "a", "answer": ["b"]}', '"answer" is a list (allowed: a string)'),
        ('{"text": "a", "text": "b"}', 'the key "text" stands there twice; keep one of them'),
        ('{"messages": []}', '"messages" is an empty list (allowed: a list of {role, content})'),
        ('{"messages": ["a"]}', "messages[0] is a string (allowed: an object {role, content})"),
        (
            '{"messages": [{"role": "bot", "content": "a"}]}',
            "messages[0] has the role 'bot' (allowed: system, developer, user, assistant, tool)",
        ),
        (
            '{"messages": [{"role": "user", "content": 1}]}',
            'messages[0]: "content" is a number (allowed: a string)',
        ),
        ('{"messages": [{"role": [], "content": "a"}]}', "messages[0] has the role []"),
        ("[" * 100_000, "JSON that is too large or too deep to read"),
        ('{"text": ' + "9" * 5_000 + "}", "JSON that is too large or too deep to read"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, f'{{"text": "fine"}}\n\n{line}\n')
    assert str(caught.value).startswith(f"a.jsonl:3: {message}")


def test_many_wrong_lines_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, '{"text": 1}\n' * 8)
    lines = str(caught.value).split("\n")
    assert [line.split(": ")[0] for line in lines[:5]] == [f"a.jsonl:{n}" for n in range(1, 6)]
    assert lines[5:] == ["and 3 more lines like these"]


def test_half_characters_are_replaced_with_a_warning(tmp_path: Path) -> None:
    corpus = read(tmp_path, '{"text": "a"}\n{"text": "b \\ud83d c \\ude42"}\n{"text": "\\uDC00"}')
    assert [document.text for document in corpus.documents] == ["a", "b � c �", "�"]
    assert corpus.warnings == (
        "a.jsonl:2: half a character (a lone surrogate such as \\ud83d) replaced by U+FFFD "
        "(the first of 2 such lines)",
    )
