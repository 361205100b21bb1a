"""Watching a log that grows: what is told, when, and how it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from sweeper.curves import Curve, Finding, FindingKind, Point
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.follow import (
    Change,
    Event,
    GrowingFile,
    GrowingStream,
    Growth,
    News,
    Notice,
    Progress,
    compare_findings,
    follow,
)
from sweeper.errors import LogError, UsageError
from sweeper.logs import Log

SPIKE = Finding(FindingKind.SPIKE, 200, 200, 2.0, False, "a jump")
PLATEAU = Finding(FindingKind.PLATEAU, 100, 300, 0.01, None, "flat")


def case(num_points: int, *findings: Finding, first: float = 5.0) -> Case:
    points = tuple(Point(100 * place, 0, first - place / 10) for place in range(num_points))
    return Case(log=Log("run.log", "CSV", Curve(points)), findings=findings)


@dataclass
class FakeSource:
    """Plays growths in order, then ends (or is interrupted); a wait moves the clock."""

    growths: Sequence[Growth]
    is_interrupted: bool = False
    now_s: float = 0.0
    place: int = 0
    waits_s: list[float] = field(default_factory=list)

    def look(self) -> Growth:
        if self.place == len(self.growths):
            if self.is_interrupted:
                raise KeyboardInterrupt
            return Growth.ENDED
        self.place += 1
        return self.growths[self.place - 1]

    def wait(self, seconds: float) -> None:
        self.waits_s.append(seconds)
        self.now_s += seconds

    def clock(self) -> float:
        return self.now_s


def watch(
    source: FakeSource, readings: Sequence[Case | LogError], cost_s: float = 0.0
) -> tuple[Case | None, list[Event], list[float]]:
    """Follow a log that reads so each time; also returns when it was read."""
    events: list[Event] = []
    times: list[float] = []

    def read() -> Case:
        times.append(source.now_s)
        source.now_s += cost_s
        reading = readings[min(len(times), len(readings)) - 1]
        if isinstance(reading, LogError):
            raise reading
        return reading

    return follow(source, read, events.append, clock=source.clock), events, times


def told(events: list[Event]) -> list[tuple[Change, int, FindingKind]]:
    return [(e.change, e.step, e.finding.kind) for e in events if isinstance(e, News)]


GROWS = (Growth.MORE, Growth.NOTHING, Growth.NOTHING)


def test_a_finding_is_told_when_it_comes_changes_and_goes() -> None:
    back = replace(SPIKE, recovered=True)
    readings = [case(3, SPIKE), case(4, back, PLATEAU), case(5, back)]
    last, events, _ = watch(FakeSource(GROWS * 3), readings)
    assert told(events) == [
        (Change.FOUND, 200, FindingKind.SPIKE),
        (Change.CHANGED, 300, FindingKind.SPIKE),
        (Change.FOUND, 300, FindingKind.PLATEAU),
        (Change.GONE, 400, FindingKind.PLATEAU),
    ]
    assert last == readings[-1]


def test_nothing_is_told_twice() -> None:
    _, events, _ = watch(FakeSource(GROWS * 4), [case(3, SPIKE)])
    assert len(told(events)) == 1
    assert sum(isinstance(event, Progress) for event in events) == 4


def test_a_log_that_does_not_grow_is_not_read_again() -> None:
    _, _, times = watch(FakeSource((Growth.MORE, *[Growth.NOTHING] * 50)), [case(3)])
    assert times == [0.0]


@pytest.mark.parametrize(("cost_s", "apart_s"), [(0.0, 1.0), (0.5, 5.0), (3.0, 30.0)])
def test_reading_takes_at_most_a_tenth_of_the_time(cost_s: float, apart_s: float) -> None:
    _, _, times = watch(FakeSource([Growth.MORE] * 200), [case(3)], cost_s)
    apart = [after - before for before, after in pairwise(times[:-1])]
    assert len(apart) > 1
    assert all(apart_s <= gap <= apart_s + 0.5 for gap in apart)


def test_what_came_just_before_the_end_is_read_too() -> None:
    readings = [case(3), case(4, SPIKE)]
    last, events, times = watch(FakeSource((Growth.MORE, Growth.MORE)), readings)
    assert len(times) == 2
    assert last == readings[1]
    assert told(events) == [(Change.FOUND, 300, FindingKind.SPIKE)]


def test_an_interrupt_ends_it_with_the_last_reading() -> None:
    last, _, _ = watch(FakeSource(GROWS, is_interrupted=True), [case(3, SPIKE)])
    assert last == case(3, SPIKE)


def test_an_interrupt_while_reading_keeps_the_reading_before() -> None:
    source = FakeSource(GROWS * 2)
    readings = iter([case(3)])

    def read() -> Case:
        try:
            return next(readings)
        except StopIteration:
            raise KeyboardInterrupt from None

    assert follow(source, read, lambda event: None, clock=source.clock) == case(3)


def test_an_interrupt_while_telling_keeps_what_is_told() -> None:
    def tell(event: Event) -> None:
        raise KeyboardInterrupt

    reading = case(3, SPIKE)
    assert follow(FakeSource(GROWS), lambda: reading, tell) == reading


def test_a_log_that_does_not_exist_yet_is_waited_for() -> None:
    source = FakeSource((*[Growth.MISSING] * 5, *GROWS))
    last, events, _ = watch(source, [case(3)])
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "waiting for the log: it does not exist yet"
    ]
    assert last == case(3)


def test_a_log_that_cannot_be_read_yet_is_said_once_and_read_later() -> None:
    readings = [LogError("run.log: no rows"), LogError("run.log: no rows"), case(3)]
    last, events, _ = watch(FakeSource(GROWS * 3), readings)
    assert [event.text for event in events if isinstance(event, Notice)] == ["run.log: no rows"]
    assert last == case(3)


def test_nothing_readable_at_all_is_none() -> None:
    assert watch(FakeSource(GROWS), [LogError("no rows")])[0] is None


def test_other_errors_are_not_swallowed() -> None:
    def read() -> Case:
        raise UsageError("no such column")

    with pytest.raises(UsageError):
        follow(FakeSource(GROWS), read, lambda event: None)


@pytest.mark.parametrize("second", [case(2), case(9, first=7.0)])
def test_another_run_in_its_place_begins_anew_without_old_findings(second: Case) -> None:
    _, events, _ = watch(FakeSource(GROWS * 2), [case(5, SPIKE), second])
    assert Notice("the log begins anew, at step 0") in events
    assert told(events) == [(Change.FOUND, 400, FindingKind.SPIKE)]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (SPIKE, SPIKE, []),
        (SPIKE, replace(SPIKE, end_step=300), []),
        (SPIKE, replace(SPIKE, severity=2.2), []),
        (SPIKE, replace(SPIKE, severity=2.6), [Change.CHANGED]),
        (SPIKE, replace(SPIKE, recovered=True), [Change.CHANGED]),
        (SPIKE, replace(SPIKE, start_step=700, end_step=700), [Change.FOUND, Change.GONE]),
        (PLATEAU, replace(PLATEAU, end_step=400), []),
        (PLATEAU, replace(PLATEAU, end_step=500), [Change.CHANGED]),
        (PLATEAU, replace(PLATEAU, kind=FindingKind.OVERFIT), [Change.FOUND, Change.GONE]),
    ],
)
def test_what_counts_as_a_change(before: Finding, now: Finding, expected: list[Change]) -> None:
    news, kept = compare_findings([before], [now], 900)
    assert [item.change for item in news] == expected
    assert kept == ((now,) if expected else (before,))


def test_slow_growth_is_told_once_it_adds_up() -> None:
    told: tuple[Finding, ...] = ()
    changes = 0
    for end in range(300, 1101, 100):
        news, told = compare_findings(told, [replace(PLATEAU, end_step=end)], end)
        changes += len(news)
    assert changes == 3  # at 200, 400 and 800 steps


def grow(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def replaced(path: Path, text: str) -> None:
    other = path.with_name("other")
    other.write_text(text, encoding="utf-8")
    other.replace(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda path: None, Growth.NOTHING),
        (lambda path: grow(path, "2\n"), Growth.MORE),
        (lambda path: path.write_text("", encoding="utf-8"), Growth.MORE),
        (lambda path: replaced(path, "1\n"), Growth.MORE),
        (lambda path: path.unlink(), Growth.MISSING),
    ],
)
def test_a_file_s_change_is_seen(
    change: Callable[[Path], None], expected: Growth, tmp_path: Path
) -> None:
    path = tmp_path / "run.log"
    source = GrowingFile(path)
    assert source.look() is Growth.MISSING
    path.write_text("1\n", encoding="utf-8")
    assert source.look() is Growth.MORE
    assert source.look() is Growth.NOTHING
    change(path)
    assert source.look() is expected


def test_a_folder_grows_with_its_files(tmp_path: Path) -> None:
    source = GrowingFile(tmp_path)
    (tmp_path / "checkpoint-1").mkdir()
    assert source.look() is Growth.MORE
    (tmp_path / "checkpoint-1" / "trainer_state.json").write_text("{}", encoding="utf-8")
    assert source.look() is Growth.MORE
    assert source.look() is Growth.NOTHING


def test_a_file_waits_by_sleeping(tmp_path: Path) -> None:
    slept: list[float] = []
    GrowingFile(tmp_path, slept.append).wait(0.5)
    assert slept == [0.5]


def test_a_pipe_gives_what_comes_and_then_ends() -> None:
    reader, writer = os.pipe()
    source = GrowingStream(reader)
    try:
        assert source.look() is Growth.NOTHING
        source.wait(0)
        assert source.look() is Growth.NOTHING
        os.write(writer, b"step,loss\n")
        source.wait(1)
        assert source.look() is Growth.MORE
        os.write(writer, b"0,5")
        os.close(writer)
        source.wait(1)
        assert source.look() is Growth.MORE
        source.wait(1)
        assert source.look() is Growth.ENDED
        assert source.content == b"step,loss\n0,5"
    finally:
        os.close(reader)
