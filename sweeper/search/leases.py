"""Leases: who works on a running trial, and until when nobody else may.

Optuna's own heartbeat exists for SQL storages and `optimize` only; a lease is a
trial attribute, renewed by the worker that holds it. A worker that is gone on
this machine is noticed at once by its process; one elsewhere when its lease ends.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

LEASE_SECONDS = 60.0


@dataclass(frozen=True)
class Lease:
    """One worker's hold on one trial.

    Attributes:
        owner: Unique name of the worker.
        host: Its machine, as `this_machine` names it.
        pid: Its process there.
        process_started: The kernel's start time of that process, which tells it
            from a later one of the same number; empty where unknown.
        expires_at: Unix time in seconds.
    """

    owner: str
    host: str
    pid: int
    process_started: str
    expires_at: float

    @classmethod
    def new(cls, owner: str, now: float) -> Lease:
        """A lease for the calling process."""
        pid = os.getpid()
        return cls(owner, this_machine(), pid, _start_time(pid), now + LEASE_SECONDS)

    @classmethod
    def read(cls, value: Mapping[str, Any] | None) -> Lease | None:
        """The lease in a trial's attribute; None where there is none."""
        return cls(**value) if value else None

    def as_dict(self) -> dict[str, Any]:
        """The form of the trial's attribute."""
        return asdict(self)

    def renewed(self, now: float) -> Lease:
        """The same, valid for a full term from now."""
        return replace(self, expires_at=now + LEASE_SECONDS)

    def ended(self) -> Lease:
        """What is left of it when its holder gives it up for dead; no renewal brings it back."""
        return replace(self, owner=f"{self.owner} no longer", expires_at=0.0)

    def is_free(self, now: float) -> bool:
        """Whether another worker may take the trial: time is up, or the holder is dead."""
        if now > self.expires_at:
            return True
        return self.host == this_machine() and not _is_alive(self.pid, self.process_started)


@cache
def this_machine() -> str:
    """Where numbers of processes mean the same: the host's name, and what tells hosts of one name.

    Containers share a name with others, as machines of one image do, and not their processes.
    """
    own = [_read_quietly(read) for read in (_boot_id, _process_namespace)]
    if not any(own):
        return socket.gethostname()
    return f"{socket.gethostname()} {hashlib.sha256(' '.join(own).encode()).hexdigest()[:12]}"


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _process_namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


def _read_quietly(read: Callable[[], str]) -> str:
    try:
        return read()
    except OSError:  # not Linux
        return ""


def _start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat, counted after the parenthesised command.

    Empty where there is no /proc, and for a process that is dead but not yet
    waited for.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _is_alive(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not started or _start_time(pid) == started
