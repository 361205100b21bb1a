"""The process that training processes are forked from, with all loaded that they need.

A client hands over four descriptors and gets a process number, and later, by one of the
descriptors, how that process ended; one that connects and says nothing keeps nobody waiting. The
server outlives the process that started it while any of those lives that it has forked, so that
they can leave as they see fit, and ends then.

Python's own fork server works for the process that started it alone; this one works for all
workers of a run, which would otherwise load torch once each.
"""

from __future__ import annotations

import gc
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from sweeper.search.workers.signals import LEAVING

# What a forked process does with a two-way connection and one that it only reads; descriptors.
Work = Callable[[int, int], None]

NUMBER = struct.Struct("!i")  # a process, or how it ended as `waitstatus_to_exitcode` says it
NUM_DESCRIPTORS = 4
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread ends that started it; Linux only."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def die_with(lifeline: int) -> None:
    """Have the kernel kill this process when nobody holds the other end of a pipe; Linux only.

    A process has one parent, but whom it works for may be another. The kernel signals who owns a
    pipe whose last writer has gone, as it signals its other news; nothing is ever written into
    this one.

    Args:
        lifeline: The descriptor of its end to read from, to be kept open.
    """
    if sys.platform != "linux":
        return
    import fcntl

    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        os.read(lifeline, 1)  # the end: it had gone before
        os.kill(os.getpid(), signal.SIGKILL)


def serve(work: Work, listener: int, owner: int, folder: str, modules: Iterable[str]) -> None:
    """Load modules, and fork processes for clients until the owner is gone and all have ended.

    Args:
        work: What they do.
        listener: Descriptor of a listening Unix socket.
        owner: Descriptor of a pipe that ends with the process that started this one.
        folder: Where the socket lies; removed in the end.
        modules: What to load before the first. One that cannot be loaded is met again by the
            process that needs it, which can say so.
    """
    for number in LEAVING:  # their supervisor's business, though a terminal signals all
        signal.signal(number, signal.SIG_IGN)
    for name in modules:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()  # no child looks for garbage in there, or has its own copy of the pages for it
    try:
        _Server(work, socket.socket(fileno=listener), owner).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Server:
    def __init__(self, work: Work, listener: socket.socket, owner: int) -> None:
        self._work = work
        self._listener = listener
        self._owner = owner
        self._has_owner = True
        self._ears: dict[int, int] = {}  # of each process, the pipe to whom hears of its end
        self._selector = selectors.DefaultSelector()
        self._deaths, self._wakeup = os.pipe()

    def run(self) -> None:
        for end in (self._deaths, self._wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._listener, selectors.EVENT_READ, self._welcome)
        self._selector.register(self._owner, selectors.EVENT_READ, self._lose_owner)
        self._selector.register(self._deaths, selectors.EVENT_READ, self._reap)
        while self._has_owner or self._ears:
            for key, _ in self._selector.select():
                key.data()

    def _lose_owner(self) -> None:
        self._has_owner = False
        self._selector.unregister(self._owner)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._deaths, 4096)
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                ear = self._ears.pop(pid, None)
                if ear is None:  # a module has started it
                    continue
                with suppress(BrokenPipeError):
                    os.write(ear, NUMBER.pack(os.waitstatus_to_exitcode(status)))
                os.close(ear)

    def _welcome(self) -> None:
        client, _ = self._listener.accept()
        self._selector.register(client, selectors.EVENT_READ, lambda: self._fork(client))

    def _fork(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        with client:
            try:
                _, given, _, _ = socket.recv_fds(client, 1, NUM_DESCRIPTORS)
            except OSError:  # gone again
                return
            if len(given) != NUM_DESCRIPTORS:  # likewise
                for descriptor in given:
                    os.close(descriptor)
                return
            calls, orders, lifeline, ear = given
            here = os.getpid()
            try:
                pid = os.fork()
            except OSError:  # no room for another; its supervisor sees that there is none
                os.close(ear)
            else:
                if pid == 0:
                    _live(lambda: self._be_child(here, client, *given))
                self._ears[pid] = ear
                with suppress(OSError):
                    client.sendall(NUMBER.pack(pid))
            for descriptor in (calls, orders, lifeline):
                os.close(descriptor)

    def _be_child(
        self, server: int, client: socket.socket, calls: int, orders: int, lifeline: int, ear: int
    ) -> None:
        client.close()
        os.close(ear)
        self._forget_all()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        die_with_parent()
        die_with(lifeline)
        if os.getppid() == server:  # else it had gone before
            self._work(calls, orders)

    def _forget_all(self) -> None:
        """In a child: close what is the server's."""
        signal.set_wakeup_fd(-1)
        for key in self._selector.get_map().values():
            if isinstance(key.fileobj, socket.socket):  # the listener, and who is still to speak
                key.fileobj.close()
        self._selector.close()
        for descriptor in (self._owner, self._deaths, self._wakeup, *self._ears.values()):
            os.close(descriptor)


def _live(life: Callable[[], None]) -> NoReturn:
    """The whole life of a forked process."""
    code = 1
    try:
        life()
        code = 0
    except BaseException:  # the process's boundary
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main(work: Work, words: Sequence[str]) -> None:
    """`serve` with the words of a command line."""
    listener, owner, folder, *modules = words
    serve(work, int(listener), int(owner), folder, modules)
