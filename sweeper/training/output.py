"""A command's output as it comes, read as a log."""

from __future__ import annotations

import codecs
import re
from collections import deque

from sweeper.curves import Point
from sweeper.logs import LiveReader, LogOptions
from sweeper.study import CommandEngine

_ENDINGS = re.compile(r"\r\n|\n|\r")
_LONGEST_LINE = 20_000  # characters; what is longer is no line of a log
_LAST_LINES = 40


class Output:
    """Takes the bytes that a command writes.

    Args:
        engine: Says in which lines the losses stand.
    """

    def __init__(self, engine: CommandEngine) -> None:
        form = "jsonl" if engine.metrics == "jsonl" else None
        self._reader = LiveReader(LogOptions(format=form, pattern=engine.pattern))
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def take(self, chunk: bytes) -> list[Point]:
        """The points of the lines that are whole with these bytes."""
        return self._read(self._decoder.decode(chunk))

    def close(self) -> list[Point]:
        """The points of what was left without a line's end."""
        return [*self._read(self._decoder.decode(b"", final=True) + "\n"), *self._reader.close()]

    def _read(self, text: str) -> list[Point]:
        *lines, rest = _ENDINGS.split(self._rest + text)
        self._rest = rest[-_LONGEST_LINE:]
        lines = [line for line in lines if line and len(line) < _LONGEST_LINE]
        self._last.extend(lines)
        return self._reader.feed("".join(line + "\n" for line in lines))

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The newest lines that are not blank."""
        return tuple(line for line in map(str.strip, self._last) if line)
