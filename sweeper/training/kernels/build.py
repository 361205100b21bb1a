"""Compiles the kernels for this processor, and loads them."""

from __future__ import annotations

import base64
import ctypes
import logging
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

from sweeper.files import cache_folder
from sweeper.kept import kept

_FOLDER = Path(__file__).parent
_SOURCES = ("rows.cpp", "attention.cpp")
_HEADERS = ("numbers.h",)
_KEPT = "kernels"  # a folder of its own in the cache, which a group may share
_COMPILERS = ("c++", "g++", "clang++")
_FLAGS = ("-std=c++17", "-O3", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math")
_SHARED = ("-fPIC", "-shared")
_NATIVE = {"x86_64": ("-march=native",), "aarch64": ("-mcpu=native",)}
_LONGEST_SECONDS = 60.0

_log = logging.getLogger(__name__)


class CannotCompile(Exception):
    """There is no compiler here, or none that takes the kernels; in words."""


@lru_cache(maxsize=1)
def load_kernels() -> ctypes.CDLL | None:
    """The compiled kernels; None where they cannot be had, and torch's operations do.

    They are compiled once for a processor, in some seconds, and kept in the cache. `CXX` names
    another compiler; empty, none is used.
    """
    if sys.platform != "linux":  # elsewhere asking for a compiler may open a window
        return None
    try:
        return _loaded(base64.b64decode(_content()))
    except (CannotCompile, OSError, ValueError) as error:
        _log.info("kernels: %s; torch's operations are used instead", error)
        return None


def _content() -> str:
    """The shared library, in base64."""
    flags = (*_FLAGS, *_SHARED, *_NATIVE.get(platform.machine(), ()))
    if not _is_ours(cache_folder() / _KEPT):
        return _compiled(flags)
    made_from = [
        [(_FOLDER / name).read_text("utf-8") for name in (*_SOURCES, *_HEADERS)],
        flags,
        platform.machine(),
        _processor(),
        os.environ.get("CXX"),
    ]
    content: str = kept(f"{_KEPT}/compiled", made_from, lambda: _compiled(flags))
    return content


def _processor() -> list[str]:
    """All that the first processor says it can do: a cache may be shared by unlike machines."""
    lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").partition("\n\n")[0].splitlines()
    return [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU "))]


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can have put there what is about to be run."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    is_private = found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return is_private and stat.S_ISDIR(found.st_mode)


def _compiled(flags: tuple[str, ...]) -> str:
    with tempfile.TemporaryDirectory(prefix="sweeper-kernels-") as folder:
        target = Path(folder) / "kernels.so"
        sources = [str(_FOLDER / name) for name in _SOURCES]
        command = [*_compiler(), *flags, "-o", str(target), *sources]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise CannotCompile(f"{command[0]} did not end") from error
        if ended.returncode:
            said = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
            raise CannotCompile(f"{command[0]} says: {said[0]}")
        content = target.read_bytes()
    _loaded(content)  # what cannot be is not kept
    return base64.b64encode(content).decode()


def _compiler() -> list[str]:
    named = os.environ.get("CXX")
    if named is not None:
        return shlex.split(named) or _none("CXX is empty")
    found = next(filter(None, map(shutil.which, _COMPILERS)), None)
    return [found] if found else _none("there is no C++ compiler here")


def _none(why: str) -> list[str]:
    raise CannotCompile(why)


def _loaded(content: bytes) -> ctypes.CDLL:
    """From memory: no folder needs to allow what is in it to be run.

    What is loaded keeps its descriptor: the loader knows a library by its path, and would give
    the next one of the same number for this one.
    """
    descriptor = os.memfd_create("sweeper-kernels")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        return ctypes.CDLL(f"/proc/self/fd/{descriptor}")
    except OSError:
        os.close(descriptor)
        raise
