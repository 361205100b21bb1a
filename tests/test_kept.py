"""What was made once is kept while it is made from the same, and never trusted when damaged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sweeper.kept import kept, stamps

VALUE = {"rows": [["a", "first"], ["b", ""]], "share": 0.1}


class Maker:
    """Counts how often a value is made."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, Any]:
        self.times += 1
        return {**VALUE, "rows": [tuple(row) for row in VALUE["rows"]]}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_made_once_from_the_same(cache: Path) -> None:
    make = Maker()
    assert kept("some", ["x", 1], make) == VALUE
    assert kept("some", ["x", 1], make) == VALUE
    assert make.times == 1
    assert kept("some", ["x", 2], make) == VALUE
    assert kept("other", ["x", 1], make) == VALUE
    assert make.times == 3


def test_who_comes_too_late_takes_what_another_has_made_meanwhile(cache: Path) -> None:
    def make_while_another_does() -> str:
        assert kept("some", "x", lambda: "theirs") == "theirs"
        return "mine"

    assert kept("some", "x", make_while_another_does) == "theirs"
    assert kept("some", "x", Maker()) == "theirs"


def test_files_are_known_by_name_size_and_time(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("1")
    before = stamps([one, other])
    assert stamps([one, other]) == before
    assert stamps([other, one]) != before
    one.write_text("12")
    assert stamps([one, other]) != before
    with pytest.raises(OSError, match="third"):
        stamps([tmp_path / "third"])


def test_the_least_lately_used_are_forgotten(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.kept.MOST_FILES", 2)
    for value in ("first", "second"):
        kept("some", value, lambda value=value: value)
    kept("some-other", "x", Maker())
    for age, path in enumerate(sorted(cache.iterdir(), key=lambda path: path.stat().st_mtime_ns)):
        os.utime(path, (1000 + age, 1000 + age))
    assert kept("some", "first", Maker()) == "first"  # which makes it the latest

    kept("some", "third", lambda: "third")

    make = Maker()
    assert kept("some", "first", make) == "first"
    assert kept("some", "third", make) == "third"
    assert kept("some-other", "x", make) == VALUE
    assert make.times == 0
    assert kept("some", "second", make) == VALUE
    assert make.times == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"value": 1, "sha256": ""}', b'{"x": 1}'])
def test_what_is_damaged_is_made_anew(cache: Path, damage: bytes) -> None:
    kept("some", "x", Maker())
    (path,) = cache.iterdir()
    path.write_bytes(damage)
    make = Maker()
    assert kept("some", "x", make) == VALUE
    assert make.times == 1
    assert kept("some", "x", make) == VALUE
    assert make.times == 1


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "file"))
    assert kept("some", "x", Maker()) == VALUE
