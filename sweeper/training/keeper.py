"""Runs one command, and never leaves it behind. A program of its own, from the standard library.

    python -I -S keeper.py PROGRAM ARGUMENT...

Its standard input is a pipe into which nobody writes. The pipe ends when the process that holds
its other end is gone, in whatever way; then the command goes too, with all that it has started.
The keeper must lead a process group of its own. It ends with the command's exit code, or with 128
and the number of the signal that ended it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

_LEFT_TO_THE_COMMAND = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CANNOT_START = 127


def keep(command: list[str]) -> int:
    """Run a command to its end.

    Returns:
        Its exit code; 127 where it cannot be started.
    """
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
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _end_with_the_pipe() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    os._exit(keep(sys.argv[1:]))
