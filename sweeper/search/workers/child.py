"""A process of one's own to train in: forked with torch loaded, and gone when its supervisor is.

Whoever starts one is its supervisor. The kernel ends the child with it (Linux; see `die_with`).
Elsewhere the child ends itself when its end of a pipe says that nobody holds the other one.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import threading
from collections.abc import Callable, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sweeper.search.workers.nursery import Nursery, NurseryGone

_LOG_BYTES = 4000
_LAST_WORDS_SECONDS = 2.0


class ChildDied(Exception):
    """A child ended before it was done; in words, with the end of its log as `log`."""

    def __init__(self, how: str, log: str = "") -> None:
        super().__init__(how)
        self.log = log


class Child:
    """A process that works for this one; as a context, it is killed where it has not ended.

    Args:
        target: Importable; given the child's end of a two-way connection, an end of a one-way
            connection from its supervisor, and then the arguments.
        arguments: Plain values.
        nursery: Where it comes from.
        log: A file that gets what it prints.

    Raises:
        ChildDied: It could not be started.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: tuple[Any, ...],
        nursery: Nursery,
        log: Path,
    ) -> None:
        self._log = log
        self.calls, its_calls = Pipe()
        its_orders, self.orders = Pipe(duplex=False)
        try:
            self._process = nursery.fork(its_calls, its_orders)
        except NurseryGone as error:
            self.calls.close()
            self.orders.close()
            raise ChildDied("it could not be started") from error
        finally:  # else nobody would notice when the child is gone
            its_calls.close()
            its_orders.close()
        self.answer((nursery.all_variables(), log))
        self.answer((target, arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.close()
        self.calls.close()
        self.orders.close()
        with contextlib.suppress(OSError):
            self._log.unlink(missing_ok=True)

    def receive(self, timeout_s: float) -> Any:
        """What the child has sent, after waiting for it at most so long; None: nothing.

        Raises:
            ChildDied: It is gone.
        """
        if not wait([self.calls], timeout_s):
            return None
        try:
            return self.calls.recv()
        except (EOFError, ConnectionError):
            raise self._death() from None

    def order(self, what: Any) -> None:
        """Send something that the child has not asked for; it may be gone already."""
        with contextlib.suppress(ConnectionError):
            self.orders.send(what)

    def answer(self, what: Any) -> None:
        """Send what the child has asked for; it may be gone already."""
        with contextlib.suppress(ConnectionError):
            self.calls.send(what)

    def abort(self, how: str) -> ChildDied:
        """End it, where it can having it say first where it is; its death, in these words."""
        self._process.signal(signal.SIGABRT)  # `faulthandler` prints the stacks
        self._process.wait(_LAST_WORDS_SECONDS)
        self._process.signal(signal.SIGKILL)
        self._process.end()
        return ChildDied(how, self.written())

    def written(self) -> str:
        """The end of what it has printed."""
        try:
            return self._log.read_bytes()[-_LOG_BYTES:].decode(errors="replace")
        except OSError:
            return ""

    def _death(self) -> ChildDied:
        return ChildDied(_how_it_ended(self._process.end()), self.written())


def call_in_child(
    task: Callable[..., Any],
    order: Any,
    nursery: Nursery,
    log: Path,
    go_on: Callable[[], bool] = lambda: True,
) -> Any:
    """What an importable function returns, or raises, in a child.

    Args:
        task: The function.
        order: What it is given.
        nursery: Where the child comes from.
        log: A file that gets what it prints.
        go_on: Asked now and then; where it is false, the child is killed and the answer is None.

    Raises:
        ChildDied: The child ended before it returned.
    """
    with Child(_call, (task, order), nursery, log) as child:
        while (answer := child.receive(timeout_s=0.1)) is None:
            if not go_on():
                return None
    value, error = answer
    if error is not None:
        raise error
    return value


def _call(calls: Connection, orders: Connection, task: Callable[..., Any], order: Any) -> None:
    value: Any = None
    failure: Exception | None = None
    try:
        value = task(order)
    except Exception as error:  # the process's boundary: it is raised beyond it
        failure = portable(error)
    calls.send((value, failure))


def portable(error: Exception) -> Exception:
    """An exception that survives the way to another process, its traceback as a note."""
    import pickle
    import traceback

    error.add_note("".join(traceback.format_exception(error)).rstrip())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its own way to be made again may raise
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        plain.__notes__ = error.__notes__
        return plain
    return error


def _set_variables(variables: Mapping[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def run_as_told(calls: int, orders: int) -> None:
    """What a child does: it is told its variables and its log first, and then what for.

    Args:
        calls: Descriptor of its end of the two-way connection.
        orders: And of that by which it gets orders.
    """
    to_supervisor, from_supervisor = Connection(calls), Connection(orders, writable=False)
    variables, log = to_supervisor.recv()
    _set_variables(variables)
    _print_into(log)
    target, arguments = to_supervisor.recv()
    target(to_supervisor, from_supervisor, *arguments)


def _print_into(log: Path) -> None:
    """A disk that is full is met by those who have to do with it."""
    with contextlib.suppress(OSError):
        number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(number, 1)
        os.dup2(number, 2)
        os.close(number)
    faulthandler.enable()


def listen(orders: Connection, obey: Callable[[Any], None]) -> None:
    """In a child: have a thread take its supervisor's orders, and end with the supervisor."""

    def keep_listening() -> None:
        while True:
            try:
                order = orders.recv()
            except (EOFError, OSError):
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                obey(order)

    threading.Thread(target=keep_listening, name="orders", daemon=True).start()


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"it ended with code {code}"
    name = signal.Signals(-code).name
    if -code == signal.SIGKILL:
        return f"it was killed ({name}; the kernel does so where memory has run out)"
    return f"it crashed ({name})"
