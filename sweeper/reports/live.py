"""What the terminal shows while something long is under way."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeper.curves import Point, StopReason
from sweeper.reports import words
from sweeper.reports.tables import STATE_COLOURS
from sweeper.search.progress import RunningTrial, Snapshot

_LEAST_SECONDS = 0.25  # between two pictures


class _View:
    """A panel that lives while the work is under way; none where there is no terminal.

    It is drawn when there is something new, and not by a thread at all times: on a machine whose
    cores all train, drawing takes from training.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._live: Live | None = None
        self._clock = clock
        self._drawn_at = -_LEAST_SECONDS
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def _show(self, panel: Callable[[], RenderableType]) -> None:
        """Draw it, unless the last one was a moment ago; only where there is a terminal."""
        if self._live and self._clock() - self._drawn_at >= _LEAST_SECONDS:
            self._live.update(panel(), refresh=True)
            self._drawn_at = self._clock()


class StudyView(_View):
    """Progress of a study: a live panel on a terminal, a line per ended trial elsewhere.

    Args:
        console: Where to show it; standard error, as results go to standard output.
        clock: Seconds, for tests.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, clock)
        self._console = console
        self._began = clock()
        self._first: Snapshot | None = None
        self._last_line = ""

    def tell(self, what: str, done: int, total: int) -> None:
        """Show a single piece of work: the base's pretraining."""
        self._show(lambda: _bar(what, done, total))
        if not self._live and done in (1, total):
            self._console.print(Text(f"{what}: {done} of {total}"))

    def observe(self, snapshot: Snapshot) -> None:
        """Show how the study stands."""
        if self._first is None or self._first.part != snapshot.part:
            self._first = snapshot
            self._began = self._clock()
        self._show(lambda: self.panel(snapshot))
        if self._live:
            return
        line = _line(snapshot)
        if line != self._last_line:
            self._console.print(Text(line))
            self._last_line = line

    def panel(self, snapshot: Snapshot) -> RenderableType:
        """The whole picture: a bar, best against baseline, and the running trials."""
        elapsed_s = self._clock() - self._began
        parts: list[RenderableType] = [
            _bar(
                _trials(snapshot),
                snapshot.num_ended,
                snapshot.num_trials,
                self._eta(snapshot, elapsed_s),
            ),
            Text.assemble(*_ended(snapshot)),
        ]
        if best := _best(snapshot):
            parts.append(Text(best))
        if snapshot.running:
            parts.append(_running(snapshot.running))
        return Group(*parts)

    def _eta(self, snapshot: Snapshot, elapsed_s: float) -> str:
        """Time left, from this run's own pace and what an ended trial has cost so far."""
        assert self._first is not None
        gained = snapshot.tokens - self._first.tokens
        if gained <= 0 or elapsed_s < 1 or snapshot.num_ended == 0:
            return ""
        under_way = sum(t.point.tokens for t in snapshot.running if t.point)
        per_trial = (snapshot.tokens - under_way) / snapshot.num_ended
        left = max(per_trial * (snapshot.num_trials - snapshot.num_ended) - under_way, 0)
        return f"about {words.duration(left * elapsed_s / gained)} left"


def _trials(snapshot: Snapshot) -> str:
    return f"{snapshot.part}: trials" if snapshot.part else "trials"


def _bar(what: str, done: int, total: int, note: str = "") -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_row(
        Text(words.clean(what)),
        ProgressBar(total=max(total, 1), completed=done, width=30),
        Text(f"{done}/{total}"),
        Text(note, style="dim"),
    )
    return row


def _ended(snapshot: Snapshot) -> list[tuple[str, str]]:
    parts = [(f"{words.count(snapshot.tokens)} tokens", "")]
    for reason in StopReason:
        if snapshot.ended.get(reason):
            name = f"  {snapshot.ended[reason]} {words.stop_words(reason)}"
            parts.append((name, STATE_COLOURS[reason]))
    return parts


def _best(snapshot: Snapshot) -> str:
    baseline = snapshot.baseline_val_loss
    if snapshot.best_val_loss is None:
        return f"baseline so far {words.nats(baseline)} nats" if baseline is not None else ""
    text = f"best {words.nats(snapshot.best_val_loss)} nats (trial {snapshot.best_number})"
    if baseline is None:
        return text
    change = words.nats_change(snapshot.best_val_loss - baseline)
    return f"{text}, baseline {words.nats(baseline)}, Δ {change}"


def _running(trials: tuple[RunningTrial, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("trial", "step", "tokens", "loss", "lr", "tok/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", overflow="ellipsis", no_wrap=True)
    for trial in trials:
        table.add_row(*map(Text, _cells(trial)))
    return table


def _cells(trial: RunningTrial) -> list[str]:
    point = trial.point or Point(step=0, tokens=0)
    share = words.share(point.tokens, trial.total_tokens)
    return [
        str(trial.number),
        f"{point.step}/{trial.total_steps}",
        f"{words.count(point.tokens)} ({share})",
        words.nats(point.train_loss),
        words.number(point.learning_rate, ".2e"),
        words.count(trial.tokens_per_s),
        words.clean(trial.label, 30),
    ]


def _line(snapshot: Snapshot) -> str:
    best = _best(snapshot) if snapshot.best_val_loss is not None else ""
    before = f"{snapshot.part}: " if snapshot.part else ""
    if not snapshot.num_ended:
        return f"{before}training the first trials"
    counted = f"{before}{snapshot.num_ended}/{snapshot.num_trials} trials"
    return "  ".join(filter(None, [counted, best]))


class RunView(_View):
    """Progress of a single run: one line that changes on a terminal, silence elsewhere."""

    def tell(self, what: str, done: int, total: int) -> None:
        """Show a single piece of work."""
        self._show(lambda: _bar(what, done, total))

    def observe(self, point: Point, total_tokens: int) -> None:
        """Show a run's newest point."""
        self._show(lambda: _run_bar(point, total_tokens))


def _run_bar(point: Point, total_tokens: int) -> Table:
    speed = point.tokens / point.seconds if point.seconds else None
    loss = f"loss {words.nats(point.train_loss)}  lr {words.number(point.learning_rate, '.2e')}"
    return _bar("tokens", point.tokens, total_tokens, f"{loss}  {words.count(speed)} tok/s")
