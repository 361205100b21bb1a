"""A study file as plain data, in which every key and value remembers its line and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml
from yaml.reader import ReaderError

from sweeper.errors import Problem, StudyFileError
from sweeper.study.problems import MISSING_KEY, UNKNOWN_KEY, Issue, KeyPath
from sweeper.study.yaml12 import (
    DEEPEST,
    MOST_NODES,
    check_collection_tag,
    compose,
    scalar_value,
)


class Place(NamedTuple):
    """Where something stands; line and column count from 1, and are 0 outside a file."""

    file: str
    line: int = 0
    column: int = 0


OVERRIDE_PLACE = Place("--set")


@dataclass
class Document:
    """Plain data with places.

    Attributes:
        file: The file as the user named it.
        data: Mappings, lists and scalars.
        keys: Where each key of a mapping stands.
        values: Where each value begins.
        broken: Paths whose value could not be read; a problem says why.
        problems: What is wrong with the text itself.
    """

    file: str
    data: dict[str, object] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    broken: set[KeyPath] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def problems_of(self, issues: list[Issue]) -> list[Problem]:
        """The issues at their places, without those that follow from a broken value."""
        return [
            Problem(*self._place(issue), dotted(issue.path), issue.message)
            for issue in issues
            if not any(path in self.broken for path in _ancestors(issue.path))
        ]

    def _place(self, issue: Issue) -> Place:
        if issue.kind == UNKNOWN_KEY and issue.path in self.keys:
            return self.keys[issue.path]
        start = issue.path[:-1] if issue.kind == MISSING_KEY else issue.path
        places = (self.values.get(path) for path in _ancestors(start))
        return next((place for place in places if place is not None), Place(self.file, 1, 1))

    def forget(self, path: KeyPath) -> None:
        """Drop the places and breakages at and below a path, before another value goes there."""
        depth = len(path)
        for places in (self.keys, self.values):
            for old in [old for old in places if old[:depth] == path]:
                del places[old]
        self.broken = {old for old in self.broken if old[:depth] != path}


def dotted(path: KeyPath) -> str:
    """A path as `space.block_size.0`."""
    return ".".join(str(key) for key in path)


def _ancestors(path: KeyPath) -> Iterator[KeyPath]:
    """The path itself, then its parents up to the top."""
    for length in range(len(path), -1, -1):
        yield path[:length]


def read_document(path: Path) -> Document:
    """Read a study file's text, without judging what it says.

    Raises:
        StudyFileError: There is no such file, or it is not one YAML mapping.
    """
    file = str(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise _refuse(Place(file), "there is no such file") from error
    except IsADirectoryError as error:
        raise _refuse(Place(file), "this is a folder (allowed: a YAML file)") from error
    except OSError as error:
        raise _refuse(Place(file), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _refuse(Place(file), f"is not a file's name: {error}") from error
    node = _composed(file, _decoded(file, raw))
    if not isinstance(node, yaml.MappingNode):
        line, column = (node.start_mark.line, node.start_mark.column) if node else (0, 0)
        found = {yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value"}
        got = found[type(node)] if node and node.value != "" else "nothing"
        message = f"expected a mapping of keys to values, got {got} (see `sweeper schema`)"
        raise _refuse(Place(file, line + 1, column + 1), message)
    return document_of(node, file)


def _refuse(place: Place, message: str) -> StudyFileError:
    return StudyFileError([Problem(*place, "", message)])


def _decoded(file: str, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", errors="replace")
        byte = raw[error.start]
        place = Place(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        raise _refuse(place, f"byte 0x{byte:02X} is not UTF-8 (save the file as UTF-8)") from error


def _composed(file: str, text: str) -> yaml.Node | None:
    try:
        return compose(text)
    except ReaderError as error:
        before = text[: error.position]
        place = Place(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        message = f"the character U+{ord(text[error.position]):04X} may not stand in YAML"
        raise _refuse(place, message) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        raise _refuse(place, syntax_message(error)) from error


def syntax_message(error: yaml.MarkedYAMLError) -> str:
    """What is wrong with a text that is not YAML."""
    if error.context and error.context.startswith("expected a single document"):
        return "a second document begins here (allowed: one study in a file)"
    problem = error.problem or str(error)
    hint = "; indent with spaces, not tabs" if "'\\t'" in problem else ""
    context = f" {error.context}" if error.context else ""
    return f"not valid YAML{context}: {problem}{hint}"


def document_of(node: yaml.Node, file: str) -> Document:
    """Plain data of a mapping node; what cannot be read is left out and listed.

    Raises:
        StudyFileError: Its aliases unfold to more than any study holds.
    """
    document = Document(file)
    builder = _Builder(document, with_places=True)
    data = builder.value(node, ())
    document.data = data if isinstance(data, dict) else {}
    return document


def value_of(text: str) -> tuple[object, list[str]]:
    """The plain value of a YAML text without a file, and what is wrong with it."""
    try:
        node = compose(text)
    except ReaderError as error:
        return None, [f"the character U+{ord(text[error.position]):04X} may not stand in YAML"]
    except yaml.MarkedYAMLError as error:
        return None, [syntax_message(error)]
    document = Document(OVERRIDE_PLACE.file)
    try:
        data = _Builder(document, with_places=False).value(node, ()) if node else None
    except StudyFileError as error:
        return None, [problem.message for problem in error.problems]
    return data, [
        f"{problem.key}: {problem.message}" if problem.key else problem.message
        for problem in document.problems
    ]


class _Builder:
    """Turns nodes into plain data, noting places and problems in a document."""

    def __init__(self, document: Document, *, with_places: bool) -> None:
        self._document = document
        self._with_places = with_places
        self._num_nodes = 0
        self._around: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        """The node's plain value; None where it is broken."""
        self._document.values[path] = self._place(node)
        self._check_size(node)
        try:
            if any(outer is node for outer in self._around):
                raise ValueError("an alias to a value that contains it (write the value out)")
            self._around.append(node)
            try:
                return self._value(node, path)
            finally:
                self._around.pop()
        except ValueError as error:
            self._report(node, path, str(error))
            self._document.broken.add(path)
            return None

    def _check_size(self, node: yaml.Node) -> None:
        """Give up where aliases unfold to more than the composer lets anyone write out."""
        self._num_nodes += 1
        if self._num_nodes > MOST_NODES:
            raise _refuse(self._place(node), f"aliases unfold to more than {MOST_NODES} values")
        if len(self._around) > DEEPEST:
            raise _refuse(self._place(node), f"aliases nest deeper than {DEEPEST} levels")

    def _value(self, node: yaml.Node, path: KeyPath) -> object:
        if isinstance(node, yaml.ScalarNode):
            return scalar_value(node)
        check_collection_tag(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        data: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in data:
                message = f"this key stands twice, first at line {lines[key]} (allowed: once)"
                self._report(key_node, (*path, key), message)
                continue
            lines[key] = key_node.start_mark.line + 1
            self._document.keys[(*path, key)] = self._place(key_node)
            data[key] = self.value(value_node, (*path, key))
        return data

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        """The key that a node spells; None where it is none."""
        if not isinstance(node, yaml.ScalarNode):
            self._report(node, path, "a list or mapping cannot be a key (allowed: a name)")
            return None
        if node.value == "<<" and node.style is None:
            message = "merge keys are not supported (write the keys out)"
            self._report(node, (*path, "<<"), message)
            return None
        if not node.tag.endswith(":str"):
            message = f"{node.value or 'an empty text'} cannot be a key (allowed: a name)"
            self._report(node, path, message)
            return None
        return str(node.value)

    def _report(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        problem = Problem(*self._place(node), dotted(path), message)
        self._document.problems.append(problem)

    def _place(self, node: yaml.Node) -> Place:
        if not self._with_places:
            return OVERRIDE_PLACE
        mark = node.start_mark
        return Place(self._document.file, mark.line + 1, mark.column + 1)
