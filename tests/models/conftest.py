"""A base to copy and to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sweeper.models.base import Base
from tests import tiny


@pytest.fixture(scope="package")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return tiny.write_base(tmp_path_factory.mktemp("pristine") / "base")


@pytest.fixture
def base(pristine: Base, tmp_path: Path) -> Base:
    """A copy of its own for each test."""
    shutil.copytree(pristine.folder, tmp_path / "base")
    return Base("./base", tmp_path / "base")
