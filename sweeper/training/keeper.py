"""Runs one command, and never leaves it behind. A program of its own, from the standard library.

    python -I -S keeper.py PROGRAM ARGUMENT...

Its standard input is a pipe into which nobody writes. The pipe ends when the process that holds
its other end is gone, in whatever way; then the command goes too, with all that it has started.
On Linux that includes what has put itself into a session of its own, as daemons and the workers of
`torchrun` do: where their parent is gone, the kernel gives them to the keeper. Elsewhere only the
keeper's process group goes, which it must lead. It ends with the command's exit code, or with 128
and the number of the signal that ended it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

_LEFT_TO_THE_COMMAND = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CANNOT_START = 127
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_KILLING_S = 2.0  # a process that outlives SIGKILL for so long hangs in the kernel
_KILLING_POLL_S = 0.01
_ending = threading.Lock()  # so that the keeper does not leave amid killing


def keep(command: list[str]) -> int:
    """Run a command to its end.

    Returns:
        Its exit code; 127 where it cannot be started.
    """
    _adopt_orphans()
    for number in _LEFT_TO_THE_COMMAND:
        signal.signal(number, lambda *_: None)  # a handler, as commands would inherit SIG_IGN
    try:
        child = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            setsigdef=[*_LEFT_TO_THE_COMMAND, signal.SIGPIPE],
            setsigmask=[],
        )
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", flush=True)
        return CANNOT_START
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    code = _wait(child)
    with _ending:
        _kill_children()
    return 128 - code if code < 0 else code


def _adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wait(child: int) -> int:
    """The child's exit code; orphans that end before are not left as zombies."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def _end_with_the_pipe() -> None:
    while os.read(0, 4096):
        pass
    _ending.acquire()
    _kill_children()
    os.killpg(0, signal.SIGKILL)


def _kill_children() -> None:
    """Kill them, then those that come to us by their death, until there are none."""
    deadline = time.monotonic() + _KILLING_S
    while (children := _children()) and time.monotonic() < deadline:
        for pid in children:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_KILLING_POLL_S)


def _children() -> list[int]:
    """Our children that are no zombies; none where there is no /proc to tell."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_bytes()
        except OSError:  # ended meanwhile
            continue
        state, parent = stat.rpartition(b")")[2].split()[:2]
        if int(parent) == os.getpid() and state not in (b"Z", b"X"):
            found.append(int(path.parent.name))
    return found


if __name__ == "__main__":
    os._exit(keep(sys.argv[1:]))
