"""A small right study to change, and a door to read it through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.errors import StudyFileError
from sweeper.study import load_study

MINIMAL = """\
name: small
model: builtin:tiny
data: {train: builtin:pydoc-qa}
budget: {trials: 3, tokens_per_trial: 240k}
space: {learning_rate: {low: 1e-5, high: 1e-1, log: true}}
"""

Write = Callable[..., Path]
Problems = Callable[..., list[str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a study file and gives its path."""

    def write_text(text: str | bytes, name: str = "s.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_text


@pytest.fixture
def problems(write: Write) -> Problems:
    """The problems of a study file, as `line:column  key: message`; none where it is right."""

    def problems_of(text: str | bytes, *overrides: str) -> list[str]:
        path = write(text)
        try:
            load_study(path, overrides)
        except StudyFileError as error:
            return [str(problem).removeprefix(f"{path}:") for problem in error.problems]
        return []

    return problems_of
