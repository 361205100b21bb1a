"""What was read once is kept while its sources stay, and never trusted when it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.data.kept import kept_rows

ROWS = [("a", "first"), ("b", "")]


class Reader:
    """Counts how often something is read."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> list[tuple[str, ...]]:
        self.times += 1
        return [*ROWS]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "source.py"
    path.write_text("one")
    return path


def test_it_is_read_once_until_a_source_changes(source: Path) -> None:
    read = Reader()
    assert kept_rows("some", [source], read) == ROWS
    assert kept_rows("some", [source], read) == ROWS
    assert read.times == 1
    source.write_text("other")
    assert kept_rows("some", [source], read) == ROWS
    assert read.times == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"rows": [["a"]], "sha256": ""}'])
def test_what_is_damaged_is_read_anew(source: Path, tmp_path: Path, damage: bytes) -> None:
    kept_rows("some", [source], Reader())
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(damage)
    read = Reader()
    assert kept_rows("some", [source], read) == ROWS
    assert read.times == 1
    assert kept_rows("some", [source], read) == ROWS
    assert read.times == 1


def test_a_cache_that_cannot_be_written_is_done_without(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "file"))
    assert kept_rows("some", [source], Reader()) == ROWS
