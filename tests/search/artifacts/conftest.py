"""Where the workers of these tests send what their trials leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.search.artifacts.buckets import CEPH, Bucket
from tests.search.artifacts.machines import archives


@pytest.fixture(params=["moto", *CEPH])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with Bucket(monkeypatch, request.param) as bucket:
        yield bucket


@dataclass(frozen=True)
class Shelf:
    """A place for archives.

    Attributes:
        place: As study files say it.
        names: What is in it.
    """

    place: str
    names: Callable[[], list[str]]


@pytest.fixture(params=["folder", pytest.param("moto", marks=pytest.mark.long), *CEPH])
def shelf(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shelf]:
    if request.param == "folder":
        (tmp_path / "store").mkdir()
        yield Shelf(
            str(tmp_path / "store"),
            lambda: [
                path.relative_to(tmp_path / "store").as_posix() for path in archives(tmp_path)
            ],
        )
    else:
        with Bucket(monkeypatch, request.param) as bucket:
            yield Shelf("s3://bucket/sweeps", bucket.names)
