"""Embedded bases are found by what they are made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import BaseError
from sweeper.files import cache_folder
from sweeper.models.embedded import embedded_folder


def test_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWEEPER_CACHE", "/own")
    assert cache_folder() == Path("/own")
    monkeypatch.delenv("SWEEPER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/sweeper")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "sweeper"


def test_what_a_base_is_made_from_names_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPER_CACHE", "/own")
    tiny, untrained = (embedded_folder(f"builtin:{name}", "abc") for name in ("tiny", "untrained"))

    assert tiny.parent == Path("/own/bases")
    assert tiny.name.startswith("tiny-")
    assert untrained.name.startswith("untrained-")
    assert embedded_folder("builtin:tiny", "other corpus") != tiny


def test_a_base_that_nobody_makes_is_refused() -> None:
    with pytest.raises(BaseError, match=r"builtin:huge .*allowed: builtin:tiny"):
        embedded_folder("builtin:huge", "abc")
