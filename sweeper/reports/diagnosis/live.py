"""What is shown while a growing log is watched: a line for every change, and how far the log is."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.status import Status
from rich.text import Text

from sweeper.diagnosis.case import Case
from sweeper.diagnosis.follow import Change, Event, News, Notice, Progress
from sweeper.reports import words
from sweeper.reports.diagnosis import phrases
from sweeper.reports.diagnosis.record import finding_record, plain
from sweeper.reports.diagnosis.terminal import KIND_STYLES


class FollowView:
    """Lines for a person: each change when it happens; on a terminal also a line that changes.

    Args:
        console: Where the changes go; the changing line is there only if it is a terminal.
        notices: Where to say what is wrong with the log itself.
    """

    def __init__(self, console: Console, notices: Console) -> None:
        self._console = console
        self._notices = console if console.is_terminal else notices
        self._status: Status | None = None
        if console.is_terminal:
            self._status = Status(Text("waiting for the first points"), console=console)

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status:
            self._status.stop()
        self._console.print()

    def tell(self, event: Event) -> None:
        """Show what happened."""
        if isinstance(event, News):
            self._console.print(news_line(event), soft_wrap=not self._console.is_terminal)
            self._console.file.flush()
        elif isinstance(event, Notice):
            notice = Text(words.clean(event.text), style="dim")
            self._notices.print(notice, soft_wrap=not self._notices.is_terminal)
        elif self._status:
            self._status.update(Text(progress_line(event.case)))


def news_line(news: News) -> Text:
    """`step 2000  found  spike at step 2000, not recovered: evidence`."""
    finding = news.finding
    style = "green" if finding.recovered else KIND_STYLES[finding.kind]
    return Text.assemble(
        (f"step {news.step}", "bold"),
        f"  {news.change:<7}  ",
        (phrases.finding_words(finding), "dim" if news.change is Change.GONE else style),
        f": {words.clean(finding.evidence, 300)}",
    )


def progress_line(case: Case) -> str:
    """Where the log stands: its last losses, and how much was found."""
    points = case.curve.points
    train = _newest(case, "train_loss")
    val = _newest(case, "val_loss")
    parts = (
        f"step {points[-1].step}",
        "" if train is None else f"train loss {phrases.loss_words(train)}",
        "" if val is None else f"val loss {phrases.loss_words(val)}",
        words.plural(len(points), "point"),
        words.plural(len(case.findings), "finding"),
        "Ctrl-C ends the watch",
    )
    return "  ".join(filter(None, parts))


def _newest(case: Case, name: str) -> float | None:
    values = (getattr(point, name) for point in reversed(case.curve.points))
    return next((value for value in values if value is not None), None)


class JsonFollowView:
    """The same for programs: one JSON object a line, for changes alone.

    Args:
        stream: Where the lines go.
        notices: Where to say what is wrong with the log itself.
    """

    def __init__(self, stream: TextIO, notices: Console) -> None:
        self._stream = stream
        self._notices = notices

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def tell(self, event: Event) -> None:
        """Write what happened."""
        if isinstance(event, News):
            record = {
                "event": event.change,
                "step": event.step,
                "finding": finding_record(event.finding),
            }
            print(json.dumps(plain(record), allow_nan=False), file=self._stream, flush=True)
        elif isinstance(event, Notice):
            self._notices.print(Text(words.clean(event.text)), soft_wrap=True)
        else:
            assert isinstance(event, Progress)  # programs ask for changes, not for each reading
