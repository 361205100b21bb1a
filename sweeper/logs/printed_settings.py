"""Hyperparameters that a log prints about its own run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sweeper.logs.names import meaning_of

_ASSIGNMENT = re.compile(
    r"\s*(?:Overriding(?: config with)?:\s*)?([A-Za-z_]\w*)\s*=\s*(\S.*?)\s*,?\s*"
)
_DOTTED = re.compile(r"\s*([A-Za-z_]\w*) \.{3,} (\S.*?)\s*")
_LABELLED = re.compile(r"\s*([a-z][a-z0-9]*_[a-z0-9_]*|lr|seed|epochs|dtype|device):\s+(\S+)\s*")
_CALL = re.compile(r"\b(?:Namespace|\w{0,40}(?:Arguments|Config|Args))\((.*)\)\s*")
_ARGUMENT = re.compile(r"(\w+)=('[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^,\s()]+)")
_LONGEST = 4000  # an arguments' dump has some hundreds of characters
_METRIC_ROLES = {"step", "train_loss", "val_loss", "grad_norm", "epoch", "seconds", "step_seconds"}


def read_setting(line: str) -> dict[str, object]:
    """The settings on one line, by the log's own names; mostly none."""
    if len(line) > _LONGEST:
        return {}
    if "(" in line and (call := _CALL.search(line)):
        return {name: _literal(text) for name, text in _ARGUMENT.findall(call[1])}
    return dict(_single(line))


def _single(line: str) -> Iterator[tuple[str, object]]:
    for form in (_ASSIGNMENT, _DOTTED, _LABELLED):
        match = form.fullmatch(line)
        if match is None or (form is not _DOTTED and _is_metric(match[1])):
            continue
        if form is _ASSIGNMENT and " " in match[2].strip("'\"[]") and "=" in match[2]:
            continue
        yield match[1], _literal(match[2])
        return


def _is_metric(name: str) -> bool:
    meaning = meaning_of(name)
    return meaning is not None and meaning.role in _METRIC_ROLES


def _literal(text: str) -> object:
    special = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in special:
        return special[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if text[:1] in "'\"" and text[-1:] == text[:1]:
        return text[1:-1]
    if text.startswith("[") and text.endswith("]"):
        return [_literal(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    return text
