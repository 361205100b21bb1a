"""Watches a log that somebody is still writing, and tells when its findings change."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from sweeper.curves import Curve, Finding
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.patience import settled_findings
from sweeper.errors import LogError

_LOOK_EVERY_S = 0.5
_READ_EVERY_S = 1.0
# Reading and judging may take so much of one core, the rest is the training's.
_SHARE = 0.1
# A finding is told again once it has grown so much since it was told last.
_GROWN_SIZE = 1.25
_GROWN_LENGTH = 2.0
_CHUNK_BYTES = 1 << 16


class Growth(StrEnum):
    """What became of a log since the last look."""

    NOTHING = "nothing"
    MORE = "more"
    MISSING = "missing"
    ENDED = "ended"


class Source(Protocol):
    """A log that may grow."""

    def look(self) -> Growth:
        """What became of it since the last look; `ENDED` once nothing more can come."""
        ...

    def wait(self, seconds: float) -> None:
        """Return after so long, or earlier if there is more."""
        ...


class GrowingFile:
    """A file, or a folder of them, seen by its size and time; it need not exist yet."""

    def __init__(self, path: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path = path
        self._sleep = sleep
        self._seen: tuple[tuple[str, int, int, int], ...] | None = None

    def look(self) -> Growth:
        """Any change counts, so that a file that was cut or replaced is read as well."""
        seen = tuple(_signatures(self._path))
        if not seen:
            self._seen = None
            return Growth.MISSING
        changed = seen != self._seen
        self._seen = seen
        return Growth.MORE if changed else Growth.NOTHING

    def wait(self, seconds: float) -> None:
        """Files tell nobody that they grew: look again later."""
        self._sleep(seconds)


def _signatures(path: Path) -> Iterator[tuple[str, int, int, int]]:
    """Name, file, size and time of a file, or of everything in a folder."""
    paths = sorted(path.rglob("*")) if path.is_dir() else [path]
    for each in paths:
        try:
            stat = each.stat()
        except OSError:  # not there yet, or gone while we looked
            continue
        yield str(each), stat.st_ino, stat.st_size, stat.st_mtime_ns


class GrowingStream:
    """A pipe; everything that came through it is kept, as a log is read from its start."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._content = bytearray()
        self._num_seen = 0
        self._ended = False

    @property
    def content(self) -> bytes:
        """All that came so far."""
        return bytes(self._content)

    def look(self) -> Growth:
        """Compare what came with what was there at the last look."""
        if len(self._content) > self._num_seen:
            self._num_seen = len(self._content)
            return Growth.MORE
        return Growth.ENDED if self._ended else Growth.NOTHING

    def wait(self, seconds: float) -> None:
        """Take in what comes within so long."""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return
        chunk = os.read(self._descriptor, _CHUNK_BYTES)
        self._content += chunk
        self._ended = not chunk


class Change(StrEnum):
    """What became of a finding."""

    FOUND = "found"
    CHANGED = "changed"
    GONE = "gone"


@dataclass(frozen=True)
class News:
    """A finding that appeared, changed or went.

    Attributes:
        change: Which of them.
        step: The log's last step when it was seen.
        finding: As it is now; as it was, if it is gone.
    """

    change: Change
    step: int
    finding: Finding


@dataclass(frozen=True)
class Notice:
    """Something about the log itself: it is not there yet, cannot be read yet, begins anew."""

    text: str


@dataclass(frozen=True)
class Progress:
    """How far the log is.

    Attributes:
        case: The log as it was read, with its findings.
    """

    case: Case


Event = News | Notice | Progress


def follow(
    source: Source,
    read: Callable[[], Case],
    tell: Callable[[Event], None],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Case | None:
    """Read a log again whenever it grew, until it ends or the user interrupts.

    Reading costs at most a tenth of a core, so a large log is read more rarely.

    Args:
        source: What to watch.
        read: Reads all of it and finds what there is to find. A LogError is told, once, and is
            no reason to stop: the log may be empty, or its header alone.
        tell: Called with everything that is worth a line.
        clock: Seconds.

    Returns:
        The last reading; None if nothing could ever be read.
    """
    watch = _Watch(read, tell)
    next_read_s, is_due = clock(), False
    try:
        while True:
            growth = source.look()
            is_due = is_due or growth is Growth.MORE
            if growth is Growth.MISSING:
                watch.notice("waiting for the log: it does not exist yet")
            has_ended = growth is Growth.ENDED
            if is_due and (has_ended or clock() >= next_read_s):
                began_s, is_due = clock(), False
                watch.read()
                cost_s = clock() - began_s
                next_read_s = clock() + max(_READ_EVERY_S, cost_s * (1 / _SHARE - 1))
            if has_ended:
                break
            source.wait(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        pass
    return watch.case


class _Watch:
    """What was read and told so far."""

    def __init__(self, read: Callable[[], Case], tell: Callable[[Event], None]) -> None:
        self._read = read
        self._tell = tell
        self._told: tuple[Finding, ...] = ()
        self._last_notice = ""
        self.case: Case | None = None

    def notice(self, text: str) -> None:
        """Tell something about the log, unless it was the last thing told about it."""
        if text != self._last_notice:
            self._last_notice = text
            self._tell(Notice(text))

    def read(self) -> None:
        """Read the log and tell what changed."""
        try:
            case = self._read()
        except LogError as error:
            self.notice(str(error))
            return
        if not case.curve.points:
            return
        before, self.case = self.case, case  # first of all: telling may be interrupted
        if before is not None and _begins_anew(before.curve, case.curve):
            self.notice(f"the log begins anew, at step {case.curve.points[0].step}")
            self._told = ()
        else:
            self._last_notice = ""
        step = case.curve.points[-1].step
        findings = settled_findings(case, self._told)
        news, self._told = compare_findings(self._told, findings, step)
        for item in news:
            self._tell(item)
        self._tell(Progress(case))


def _begins_anew(before: Curve, now: Curve) -> bool:
    """Whether another run took the log's place; a log rewritten longer is the same run."""
    if not before.points:
        return False
    first, last = before.points[0], before.points[-1]
    return now.points[-1].step < last.step or now.points[0] != first


def compare_findings(
    told: Sequence[Finding], now: Sequence[Finding], step: int
) -> tuple[tuple[News, ...], tuple[Finding, ...]]:
    """What is worth telling about the findings.

    A finding is the same as before if it is of the same kind and touches the same steps. It is
    told again if its recovery changed, if it grew by a quarter, or if it lasts twice as long.

    Args:
        told: The findings as they were last told.
        now: As they are.
        step: The log's last step.

    Returns:
        The news, and the findings as they have been told now.
    """
    left, news, kept = list(told), list[News](), list[Finding]()
    for finding in now:
        before = next((old for old in left if _is_same(old, finding)), None)
        if before is not None:
            left.remove(before)
        if before is None:
            news.append(News(Change.FOUND, step, finding))
        elif _has_changed(before, finding):
            news.append(News(Change.CHANGED, step, finding))
        else:
            finding = before
        kept.append(finding)
    return (*news, *(News(Change.GONE, step, old) for old in left)), tuple(kept)


def _is_same(before: Finding, now: Finding) -> bool:
    touches = before.start_step <= now.end_step and now.start_step <= before.end_step
    return before.kind is now.kind and touches


def _has_changed(before: Finding, now: Finding) -> bool:
    length, now_length = before.end_step - before.start_step, now.end_step - now.start_step
    return (
        before.recovered is not now.recovered
        or now.severity > _GROWN_SIZE * before.severity > 0
        or now_length >= _GROWN_LENGTH * length > 0
    )
