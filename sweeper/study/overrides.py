"""Changes to a study file from the command line: `--set budget.trials=5`."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.errors import Problem
from sweeper.study.document import OVERRIDE_PLACE, Document, dotted, value_of
from sweeper.study.problems import KeyPath, shown


class _Misplaced(Exception):
    """An override whose key leads nowhere; the message says why."""


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Put each `key=value` in its place, in order; problems are added to the document.

    The key is dotted, with the index of a list's item as a number. The value is YAML, read by
    the same rules as the file. Mappings on the way that the file leaves out are made.
    """
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            message = f"cannot read {override!r} (allowed: key=value, such as budget.trials=5)"
            document.problems.append(Problem(*OVERRIDE_PLACE, "", message))
            continue
        value, wrongs = value_of(text)
        try:
            path = _put(document, key.split("."), value)
        except _Misplaced as error:
            wrongs = [*wrongs, str(error)]
            path = ()
        if path:
            document.forget(path)
            document.keys[path] = document.values[path] = OVERRIDE_PLACE
            document.broken |= {path} if wrongs else set()
        document.problems += [Problem(*OVERRIDE_PLACE, key, wrong) for wrong in wrongs]


def _put(document: Document, keys: list[str], value: object) -> KeyPath:
    """Set the value in the document's data and give its path."""
    path: KeyPath = ()
    container: object = document.data
    for key in keys[:-1]:
        step = _step(container, path, key)
        path = (*path, step)
        if isinstance(container, dict) and step not in container:
            container[step] = {}
            document.keys[path] = document.values[path] = OVERRIDE_PLACE
        container = container[step]  # type: ignore[index]  # as below
    step = _step(container, path, keys[-1])
    container[step] = value  # type: ignore[index]  # _step refuses all but mappings and lists
    return (*path, step)


def _step(container: object, path: KeyPath, key: str) -> str | int:
    """The key or index as the container knows it."""
    if isinstance(container, dict):
        return key
    if not isinstance(container, list):
        raise _Misplaced(f"{dotted(path)} is {shown(container)}; set {dotted(path)} as a whole")
    if not (key.isascii() and key.isdigit() and int(key) < len(container)):
        last = f"an index from 0 to {len(container) - 1}" if container else "an empty list: none"
        raise _Misplaced(f"{dotted(path)} is a list without an item {key} (allowed: {last})")
    return int(key)
