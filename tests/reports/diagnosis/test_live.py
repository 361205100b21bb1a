"""What is shown while a log is watched."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis.follow import Change, Event, News, Notice, Progress
from sweeper.reports.diagnosis.live import FollowView, JsonFollowView, news_line, progress_line

from ..fakes import HOSTILE
from . import fakes

SPIKE = fakes.FINDINGS[0]
FOUND = News(Change.FOUND, 400, replace(SPIKE, recovered=False))


def watched(*events: Event, terminal: bool = False, width: int = 80) -> tuple[str, str]:
    """What goes to the results and to the notices."""
    results, notices = io.StringIO(), io.StringIO()
    view = FollowView(
        Console(file=results, width=width, force_terminal=terminal, color_system=None),
        Console(file=notices, width=width),
    )
    with view:
        for event in events:
            view.tell(event)
    return results.getvalue(), notices.getvalue()


@pytest.mark.parametrize(
    ("news", "expected"),
    [
        (FOUND, "step 400  found    spike at step 400, not recovered: loss 7.9000"),
        (News(Change.CHANGED, 500, SPIKE), "step 500  changed  spike at step 400, recovered: loss"),
        (News(Change.GONE, 700, SPIKE), "step 700  gone     spike at step 400, recovered: loss"),
    ],
)
def test_news_is_a_line_with_step_and_evidence(news: News, expected: str) -> None:
    assert news_line(news).plain.startswith(expected)


def test_in_a_pipe_each_change_is_one_line_and_notices_go_elsewhere() -> None:
    results, notices = watched(
        Notice("the log is not there"), FOUND, Progress(fakes.full().case), width=30
    )
    assert results == f"{news_line(FOUND).plain}\n\n"
    assert notices == "the log is not there\n"


def test_on_a_terminal_a_line_says_how_far_the_log_is() -> None:
    results, notices = watched(
        Notice("the log is not there"), Progress(fakes.full().case), terminal=True, width=120
    )
    assert "the log is not there" in results
    assert "step 700  train loss 5.4700  val loss 5.5700  8 points  3 findings" in results
    assert notices == ""


def test_progress_says_only_what_was_logged() -> None:
    assert progress_line(fakes.healthy().case) == (
        "step 9  train loss 4.1000  10 points  0 findings  Ctrl-C ends the watch"
    )


def test_names_cannot_steer_the_terminal() -> None:
    evil = Finding(FindingKind.SPIKE, 1, 1, 1.0, True, HOSTILE + "[red]x")
    results, notices = watched(
        Notice(HOSTILE), News(Change.FOUND, 1, evil), terminal=True, width=400
    )
    assert "\x1b[31m" not in results + notices
    assert "\u202e" not in results + notices
    assert "[red]x" in results


def test_programs_get_one_object_a_line() -> None:
    stream, notices = io.StringIO(), io.StringIO()
    evil = Finding(FindingKind.NON_FINITE, 1, 1, float("nan"), None, HOSTILE)
    with JsonFollowView(stream, Console(file=notices, width=400)) as view:
        view.tell(FOUND)
        view.tell(Progress(fakes.full().case))
        view.tell(Notice("it begins anew"))
        view.tell(News(Change.GONE, 5, evil))
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["step"], first["finding"]["kind"]) == ("found", 400, "spike")
    assert (second["event"], second["finding"]["severity"]) == ("gone", "nan")
    assert "\x1b" not in stream.getvalue()
    assert notices.getvalue() == "it begins anew\n"
