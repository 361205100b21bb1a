"""The table of all trials for the terminal, as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sweeper.curves.finding import StopReason
from sweeper.reports import words
from sweeper.reports.escaping import escape_markdown
from sweeper.reports.files import replace_file
from sweeper.reports.rows import TrialRow, first_rows, trial_rows, what_words
from sweeper.search.results import StudyResults, TrialResult

__all__ = [
    "STATE_COLOURS",
    "TrialRow",
    "columns",
    "markdown_table",
    "trial_rows",
    "trials_table",
    "write_trials_csv",
]

STATE_COLOURS: dict[StopReason | None, str] = {
    StopReason.COMPLETED: "green",
    StopReason.SPIKE: "red",
    StopReason.NON_FINITE: "bold red",
    StopReason.PLATEAU: "yellow",
    StopReason.PEERS: "cyan",
    StopReason.OUT_OF_MEMORY: "magenta",
    StopReason.PREEMPTED: "blue",
    StopReason.TIMEOUT: "magenta",
    StopReason.ERROR: "bold red",
    None: "dim",
}
# Columns of the terminal from which a column of the table has room.
_ROOM_FROM = {"tokens": 92, "tokens_per_s": 92, "perplexity": 124, "seconds": 124}


# --- CSV -------------------------------------------------------------------------------------


def write_trials_csv(results: StudyResults, path: Path) -> Path:
    """Write all trials in the order of their numbers, numbers in full precision.

    A text that a spreadsheet would take for a formula gets an apostrophe before it. A
    hyperparameter named like another column is written as `hyperparameter_NAME`.

    Raises:
        StorageError: The file cannot be written.
    """
    names = hyperparameter_names(results)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    headers = [f"hyperparameter_{name}" if name in _CSV_COLUMNS else name for name in names]
    writer.writerow([_csv_cell(name) for name in [*_CSV_COLUMNS, *headers]])
    for trial in results.trials:
        values = [trial.hyperparameters.get(name) for name in names]
        writer.writerow([_csv_cell(v) for v in [*_csv_fields(results, trial).values(), *values]])
    return replace_file(path, buffer.getvalue())


def hyperparameter_names(results: StudyResults) -> list[str]:
    """Every hyperparameter that any trial has, in reading order."""
    every: dict[str, object] = {}
    for trial in results.trials:
        every.update(dict.fromkeys(trial.hyperparameters))
    return words.in_reading_order(every)


_CSV_COLUMNS = [
    "trial",
    "what",
    "hypothesis",
    "baseline",
    "same_as",
    "state",
    "stop_reason",
    "evidence",
    "val_loss",
    "delta_nats",
    "perplexity_ratio",
    "tokens",
    "seconds",
    "tokens_per_s",
    "lost_tokens",
    "lost_seconds",
    "audited",
]


def _csv_fields(results: StudyResults, trial: TrialResult) -> Mapping[str, object]:
    delta = results.delta(trial)
    values = (
        trial.number,
        what_words(trial),
        trial.hypothesis,
        trial.is_baseline,
        trial.same_as,
        trial.state,
        None if trial.stop_reason is None else trial.stop_reason.value,
        trial.evidence,
        trial.val_loss,
        delta,
        words.perplexity_ratio(delta),
        trial.tokens,
        trial.seconds,
        trial.tokens_per_s,
        trial.lost.tokens,
        trial.lost.seconds,
        None if trial.audit is None else trial.audit.reason.value,
    )
    return dict(zip(_CSV_COLUMNS, values, strict=True))


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    listed = isinstance(value, list | tuple)
    text = words.clean(json.dumps(value, default=str) if listed else value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


# --- Markdown --------------------------------------------------------------------------------

_HEADERS = (
    ("number", "trial"),
    ("what", "what"),
    ("ended", "ended"),
    ("val_loss", "val loss"),
    ("delta", "Δ nats"),
    ("perplexity", "perplexity"),
    ("tokens", "tokens"),
    ("seconds", "time"),
    ("tokens_per_s", "tokens/s"),
    ("changes", "against the baseline"),
)
LEFT_ALIGNED = frozenset({"what", "ended", "changes"})


def columns() -> Sequence[tuple[str, str]]:
    """Attribute of `TrialRow` and heading of each column, for a wide page."""
    return _HEADERS


def markdown_table(rows: Iterable[TrialRow]) -> str:
    """All columns as a GitHub table, user text escaped; the best trial in bold."""
    lines = [
        "| " + " | ".join(heading for _, heading in _HEADERS) + " |",
        "|" + "|".join("---" if name in LEFT_ALIGNED else "---:" for name, _ in _HEADERS) + "|",
    ]
    for row in rows:
        cells: list[str] = [escape_markdown(getattr(row, name)) for name, _ in _HEADERS]
        if row.is_best:
            cells[:2] = [f"**{cell}**" for cell in cells[:2]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


# --- Terminal --------------------------------------------------------------------------------


def trials_table(results: StudyResults, *, width: int = 100, limit: int | None = None) -> Table:
    """The trials for a terminal, best first, the best in bold.

    Args:
        results: The study.
        width: Columns of the terminal; narrow ones get fewer columns of the table.
        limit: Most rows; the baseline is always among them. None shows all.
    """
    num_trials = len(results.trials)
    shown = first_rows(results, num_trials if limit is None else limit)
    hidden = num_trials - len(shown)
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        caption=f"{words.plural(hidden, 'more trial')} in trials.csv" if hidden else None,
        caption_justify="left",
    )
    names = [name for name, _ in _HEADERS if width >= _ROOM_FROM.get(name, 0)]
    for name in names:
        _add_column(table, name)
    for row in shown:
        style = "bold" if row.is_best else None
        table.add_row(*(_terminal_cell(row, name) for name in names), style=style)
    return table


_SHORT_HEADINGS = {"number": "#", "perplexity": "ppl", "tokens_per_s": "tok/s", "changes": "change"}


def _add_column(table: Table, name: str) -> None:
    heading = _SHORT_HEADINGS.get(name, dict(_HEADERS)[name])
    if name == "changes":
        table.add_column(heading, overflow="fold", min_width=12)
    elif name == "what":
        table.add_column(heading, overflow="ellipsis", no_wrap=True, min_width=8, max_width=20)
    else:
        table.add_column(heading, justify="left" if name in LEFT_ALIGNED else "right", no_wrap=True)


def _terminal_cell(row: TrialRow, name: str) -> Text:
    text: str = getattr(row, name)
    if name == "ended":
        return Text(text, style=STATE_COLOURS[row.reason])
    if name == "what" and row.is_baseline:
        return Text(text, style="bold cyan")
    if name == "number" and row.is_best:
        return Text(f"* {text}", style="bold green")
    return Text(text)
