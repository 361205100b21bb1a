"""JSONL: one object per line, in any of the shapes that question-answer sets come in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from sweeper.data.document import Document, question_and_answer
from sweeper.errors import DataError

_MAX_PROBLEMS_SHOWN = 5
_ROLES = ("system", "developer", "user", "assistant", "tool")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_jsonl(text: str, name: str) -> tuple[list[Document], list[str]]:
    """A document for each line that is not blank, and warnings.

    Args:
        text: The file's text.
        name: The file's name in documents' names and in messages.

    Raises:
        DataError: Lines that are no JSON, or no object of an allowed shape; the first of them
            with their line numbers.
    """
    documents: list[Document] = []
    problems: list[str] = []
    repaired: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.isspace():
            continue
        try:
            record, is_repaired = _parse(line)
            documents.append(_document(record, f"{name}:{number}"))
        except _LineProblem as problem:
            problems.append(f"{name}:{number}: {problem}")
            continue
        if is_repaired:
            repaired.append(number)
    if problems:
        raise DataError(_join(problems))
    return documents, _surrogate_warnings(repaired, name)


class _LineProblem(Exception):
    """What is wrong with one line; caught where its number is known."""


def _parse(line: str) -> tuple[dict[str, Any], bool]:
    """The line's object, and whether half characters in it had to be replaced."""
    try:
        record = json.loads(line, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise _LineProblem(
            f"column {error.colno} is not valid JSON: {error.msg} (allowed: one whole JSON object "
            f"per line)"
        ) from error
    except (ValueError, RecursionError) as error:
        raise _LineProblem(f"JSON that is too large or too deep to read: {error}") from error
    if not isinstance(record, dict):
        raise _LineProblem(f"the line is {_kind(record)}, not an object (allowed: {_SHAPES_TEXT})")
    return _replace_surrogates(record, line)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _LineProblem(f'the key "{twice}" stands there twice; keep one of them')
    return record


def _replace_surrogates(record: dict[str, Any], line: str) -> tuple[dict[str, Any], bool]:
    """`"\\ud83d"` alone is half a character, which no tokenizer can encode."""
    if "\\ud" not in line and "\\uD" not in line:
        return record, False
    rendered = json.dumps(record, ensure_ascii=False)
    repaired = _LONE_SURROGATE.sub("\ufffd", rendered)
    if repaired == rendered:
        return record, False
    replaced: dict[str, Any] = json.loads(repaired)
    return replaced, True


def _document(record: dict[str, Any], name: str) -> Document:
    for keys, optional, render in _SHAPES:
        if keys <= record.keys() <= keys | optional:
            return render(record, name)
    found = ", ".join(record) or "none"
    raise _LineProblem(f"unknown set of keys: {found} (allowed: {_SHAPES_TEXT})")


def _string(record: dict[str, Any], key: str, *, may_be_empty: bool = False) -> str:
    value = record[key]
    if not isinstance(value, str):
        raise _LineProblem(f'"{key}" is {_kind(value)} (allowed: a string)')
    text = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text and not may_be_empty:
        raise _LineProblem(f'"{key}" is empty (allowed: a string with text)')
    return text


def _render_pair(question_key: str, answer_key: str) -> Callable[[dict[str, Any], str], Document]:
    def render(record: dict[str, Any], name: str) -> Document:
        return question_and_answer(_string(record, question_key), _string(record, answer_key), name)

    return render


def _render_instruction(record: dict[str, Any], name: str) -> Document:
    question = _string(record, "instruction")
    if "input" in record:
        question = f"{question}\n{_string(record, 'input', may_be_empty=True)}".rstrip()
    return question_and_answer(question, _string(record, "output"), name)


def _render_text(record: dict[str, Any], name: str) -> Document:
    return Document(_string(record, "text"), name)


def _render_messages(record: dict[str, Any], name: str) -> Document:
    messages = record["messages"]
    if not isinstance(messages, list) or not messages:
        raise _LineProblem(
            f'"messages" is {_kind(messages)} (allowed: a list of {{role, content}})'
        )
    text = ""
    spans = []
    for index, message in enumerate(messages):
        role, content = _message(message, index)
        text += f"{role}: "
        if role == "assistant":
            spans.append((len(text), len(text) + len(content)))
        text += f"{content}\n"
    return Document(text[:-1], name, tuple(spans))


def _message(message: object, index: int) -> tuple[str, str]:
    if not isinstance(message, dict) or message.keys() != {"role", "content"}:
        found = ", ".join(message) if isinstance(message, dict) else _kind(message)
        raise _LineProblem(f"messages[{index}] is {found} (allowed: an object {{role, content}})")
    if message["role"] not in _ROLES:
        raise _LineProblem(
            f"messages[{index}] has the role {message['role']!r} (allowed: {', '.join(_ROLES)})"
        )
    try:
        return message["role"], _string(message, "content")
    except _LineProblem as problem:
        raise _LineProblem(f"messages[{index}]: {problem}") from None


_SHAPES: tuple[
    tuple[frozenset[str], frozenset[str], Callable[[dict[str, Any], str], Document]], ...
] = (
    (frozenset({"question", "answer"}), frozenset(), _render_pair("question", "answer")),
    (frozenset({"prompt", "completion"}), frozenset(), _render_pair("prompt", "completion")),
    (frozenset({"instruction", "output"}), frozenset({"input"}), _render_instruction),
    (frozenset({"text"}), frozenset(), _render_text),
    (frozenset({"messages"}), frozenset(), _render_messages),
)
_SHAPES_TEXT = (
    "{question, answer}, {prompt, completion}, {instruction, output} with or without input, "
    "{text}, {messages}"
)


def _kind(value: object) -> str:
    """A JSON value's kind in words."""
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "a string", dict: "an object"}
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return names.get(type(value), "a number")


def _join(problems: list[str]) -> str:
    shown = problems[:_MAX_PROBLEMS_SHOWN]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown):,} more lines like these")
    return "\n".join(shown)


def _surrogate_warnings(lines: list[int], name: str) -> list[str]:
    if not lines:
        return []
    return [
        f"{name}:{lines[0]}: half a character (a lone surrogate such as \\ud83d) replaced by "
        f"U+FFFD (the first of {len(lines)} such lines)"
    ]
