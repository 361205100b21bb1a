"""Who lives, by what Linux says of processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def with_variable(name: str, value: str) -> list[int]:
    """Processes that were started with a variable set so: one, and all that it started."""
    wanted = f"{name}={value}".encode()
    found = []
    for pid, _ in _living():
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile, or another's
            continue
        if wanted in variables and pid != os.getpid():
            found.append(pid)
    return found


def children_of(parent: int) -> list[int]:
    """Processes whose parent is this one."""
    return [pid for pid, its_parent in _living() if its_parent == parent]


def fork_servers_of(parent: int) -> list[int]:
    """Those children from which training processes are forked; these have their command line."""
    return [pid for pid in children_of(parent) if b"forking import main" in command_of(pid)]


def command_of(pid: int) -> bytes:
    """Its command line, words ended by zeros; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def descendants(pid: int) -> list[int]:
    """Children, and theirs."""
    return [each for child in children_of(pid) for each in (child, *descendants(child))]


def is_alive(pid: int) -> bool:
    """Whether a process has not ended."""
    return any(pid == each for each, _ in _living())


def is_stopped(pid: int) -> bool:
    """Whether a process, with all its threads, does not go on before SIGCONT, or has ended."""
    try:
        stats = [path.read_bytes() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return True
    return all(stat.rpartition(b")")[2].split()[0] in (b"T", b"Z", b"X") for stat in stats)


def _living() -> Iterator[tuple[int, int]]:
    """Processes that are no zombies, each with its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_bytes().rpartition(b")")[2].split()[:2]
        except OSError:  # ended meanwhile
            continue
        if state not in (b"Z", b"X"):
            yield int(path.parent.name), int(parent)
