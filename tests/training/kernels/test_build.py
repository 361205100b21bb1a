"""Building the kernels: once for a processor, never from what others put there, and not always."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sweeper.training.kernels import build
from sweeper.training.kernels.build import load_kernels
from sweeper.training.kernels.choice import kernels_on, rows_on
from sweeper.training.kernels.plain import PlainRows


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache of its own, and nothing known of earlier builds."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("SWEEPER_CACHE", str(cache))
    monkeypatch.setattr(build.sys, "platform", "linux")
    monkeypatch.setattr(build, "_FLAGS", ("-std=c++17", "-O0"))  # in a third of the time
    forget()
    yield cache
    forget()


def forget() -> None:
    load_kernels.cache_clear()
    rows_on.cache_clear()


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A compiler that counts its calls in a file, and then calls the real one."""
    found = build._compiler()[0] if has_compiler() else None
    if found is None:
        pytest.skip("no C++ compiler here")
    calls, script = tmp_path / "calls", tmp_path / "counting"
    script.write_text(f'#!/bin/sh\necho called >>"{calls}"\nexec "{found}" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    return calls


def has_compiler() -> bool:
    try:
        return bool(build._compiler())
    except build.CannotCompile:
        return False


def num_calls(calls: Path) -> int:
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def test_it_is_compiled_once_for_all_processes(compiler: Path) -> None:
    assert isinstance(load_kernels(), ctypes.CDLL)
    forget()  # as the next process would
    assert isinstance(load_kernels(), ctypes.CDLL)
    assert num_calls(compiler) == 1
    assert kernels_on(torch.device("cpu")) == "compiled"


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x7fELF"])
def test_a_damaged_one_is_compiled_anew(compiler: Path, fresh: Path, damage: bytes) -> None:
    load_kernels()
    (kept,) = fresh.glob("kernels/*")
    kept.write_bytes(damage)
    forget()
    assert isinstance(load_kernels(), ctypes.CDLL)
    assert num_calls(compiler) == 2


def test_where_others_may_write_nothing_is_run_that_lies_there(compiler: Path, fresh: Path) -> None:
    load_kernels()
    (fresh / "kernels").chmod(0o777)
    forget()
    assert isinstance(load_kernels(), ctypes.CDLL)
    assert num_calls(compiler) == 2


def test_a_link_to_a_folder_of_others_is_not_followed(compiler: Path, fresh: Path) -> None:
    (fresh / "elsewhere").mkdir(parents=True)
    (fresh / "kernels").symlink_to(fresh / "elsewhere")
    assert isinstance(load_kernels(), ctypes.CDLL)
    assert not list((fresh / "elsewhere").iterdir())


def test_a_cache_that_a_group_shares_keeps_it(compiler: Path, fresh: Path) -> None:
    fresh.mkdir()
    fresh.chmod(0o775)
    load_kernels()
    forget()
    load_kernels()
    assert num_calls(compiler) == 1


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch, compiler: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "file"))
    assert isinstance(load_kernels(), ctypes.CDLL)
    assert num_calls(compiler) == 1


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("", "CXX is empty"),
        ("/nowhere/c++", "No such file"),
        ("false", "exit code 1"),
        ("sh -c 'echo unknown flag >&2; exit 3'", "unknown flag"),
        ("true", "No such file"),  # writes nothing
    ],
)
def test_without_a_compiler_torch_does_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, command: str, reason: str
) -> None:
    monkeypatch.setenv("CXX", command)
    with caplog.at_level(logging.INFO):
        assert load_kernels() is None
    assert reason in caplog.text
    assert "torch's operations are used instead" in caplog.text
    assert isinstance(rows_on(torch.device("cpu"), torch.float32), PlainRows)
    assert kernels_on(torch.device("cpu")) == "torch"


def test_a_compiler_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_LONGEST_SECONDS", 0.05)
    monkeypatch.setenv("CXX", "sh -c 'exec sleep 60'")
    assert load_kernels() is None


def test_what_is_no_library_is_neither_loaded_nor_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, fresh: Path
) -> None:
    script = tmp_path / "babbling"
    script.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho of many words >"$2"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    with caplog.at_level(logging.INFO):
        assert load_kernels() is None
    assert "file too short" in caplog.text or "invalid ELF header" in caplog.text
    assert not list((fresh / "kernels").iterdir())


def test_elsewhere_than_on_linux_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, compiler: Path
) -> None:
    monkeypatch.setattr(build.sys, "platform", "darwin")
    assert load_kernels() is None
    assert num_calls(compiler) == 0


def test_other_types_and_devices_are_torchs() -> None:
    assert isinstance(rows_on(torch.device("cpu"), torch.float64), PlainRows)
    assert isinstance(rows_on(torch.device("meta"), torch.float32), PlainRows)
