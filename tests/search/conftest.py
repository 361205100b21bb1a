"""A cache of embedded bases, and a corpus."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper.study import StudySpec, load_study
from tests.search.fakes import plain
from tests.tiny import write_base

NewStudy = Callable[..., StudySpec]


@pytest.fixture(scope="package")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="package")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    write_base(folder)
    return folder


@pytest.fixture
def new_study(
    tmp_path: Path, cache: Path, base: Path, monkeypatch: pytest.MonkeyPatch, torch_as_it_was: None
) -> NewStudy:
    """Writes the small study with the smallest base and a corpus, and reads it as the program does.

    Most of what is trained in these tests is trained to be interrupted: any base will do.
    """
    monkeypatch.setenv("SWEEPER_CACHE", str(cache))

    def write(folder: str = "here", **changes: Any) -> StudySpec:
        home = tmp_path / folder
        home.mkdir(exist_ok=True)
        (home / "qa.md").write_text(_corpus(), "utf-8")
        if not (home / "base").exists():
            shutil.copytree(base, home / "base")
        path = home / "study.yaml"
        path.write_text(yaml.safe_dump(plain(**{"model": "./base", **changes})), "utf-8")
        return load_study(path)

    return write


def _corpus() -> str:
    nouns = ("list", "string", "module", "thread", "number", "path")
    verbs = ("sorted", "copied", "imported", "joined", "printed")
    parts = [
        f"Q: How is a {noun} {verb} in part {i}?\n"
        f"A: A {noun} is {verb} by calling its method {i} with {len(noun) * (i + 2)} arguments."
        for i in (1, 2)
        for noun in nouns
        for verb in verbs
    ]
    return "\n\n".join(parts) + "\n"
