"""What the terminal shows at the end of a run and while one is under way.

Every text from a user enters as `rich.text.Text` after `words.clean`, so that neither
rich's markup nor an escape sequence in a name takes effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from sweeper.reports import words
from sweeper.reports.audits import audit_sentences
from sweeper.reports.conclusions import conclude
from sweeper.reports.costs import cost_line, line_words
from sweeper.reports.rows import TrialRow, trial_rows
from sweeper.reports.stuck import why_stuck
from sweeper.reports.tables import STATE_COLOURS, trials_table
from sweeper.reports.verdicts import verdict_rows, verification_words
from sweeper.search.ledger import Ledger, keep_books
from sweeper.search.results import StudyResults, TrialResult
from sweeper.search.verifying.verdicts import Verification

_MOST_ROWS = 24
SURENESS = "One seed per recipe: a small difference may be chance."


def summary(results: StudyResults, made: Sequence[Path] = ()) -> RenderableType:
    """The ending of a run: the result in a sentence, the table, and what was made.

    Args:
        results: The study.
        made: Files to name, as they should be shown.
    """
    parts: list[RenderableType] = [Text(conclude(results), style="bold")]
    if stuck := why_stuck(results):
        parts.append(Text(stuck.headline, style="bold yellow"))
    if results.verification is not None:
        parts += [_verdicts(results.verification), Text(verification_words(results.verification))]
    elif any(trial.completed and not trial.is_baseline for trial in results.trials):
        parts.append(Text(SURENESS, style="dim"))
    if results.trials:
        parts.append(_FittedTable(results))
    if made:
        parts.append(Text("Made:"))
        parts += [Text(f"  {words.clean(path)}", no_wrap=True, overflow="fold") for path in made]
    return Group(*parts)


def _verdicts(verification: Verification) -> Table:
    """What other seeds say of each comparison."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("on other seeds", overflow="fold", min_width=12)
    for heading in ("pairs", "Δ or ratio", "interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold", min_width=12)
    for row in verdict_rows(verification):
        cells = (row.name, row.pairs, row.effect, row.interval, row.p_value, row.verdict)
        table.add_row(*map(Text, cells))
    return table


@dataclass(frozen=True)
class _FittedTable:
    """The table of trials with as many columns as the terminal has room for."""

    results: StudyResults

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield trials_table(self.results, width=options.max_width, limit=_MOST_ROWS)


def status(results: StudyResults) -> RenderableType:
    """How far a study is: counts, tokens, best against baseline, what runs now."""
    ledger = keep_books(results)
    parts: list[RenderableType] = [
        Text.assemble("Study ", (words.clean(results.spec.name, 80), "bold")),
        _counts(results, ledger),
        _spent(results, ledger),
        Text(cost_line(ledger)),
        Text(conclude(results)),
        *filter(None, [Text(audit_sentences(results, ledger))]),
    ]
    if results.verification is not None:
        parts.append(Text(verification_words(results.verification)))
    running = [trial for trial in results.trials if trial.state == "running"]
    if running:
        parts.append(_running_table(results, running))
    return Group(*parts)


def _counts(results: StudyResults, ledger: Ledger) -> Text:
    """Trials by how they ended, in colour and in words."""
    text = Text(f"{words.plural(len(results.trials), 'trial')} of {results.spec.budget.trials}")
    for index, ending in enumerate(ledger.endings):
        text.append(": " if index == 0 else ", ")
        text.append(f"{ending.num_trials} {line_words(ending)}", style=STATE_COLOURS[ending.reason])
    return text


def _spent(results: StudyResults, ledger: Ledger) -> Text:
    spent, budget = ledger.search.tokens, results.spec.budget
    whole = budget.tokens_per_trial * budget.trials
    if budget.tokens is not None:
        whole = min(whole, budget.tokens)
    return Text(
        f"{words.count(spent)} of at most {words.count(whole)} tokens spent "
        f"({words.share(spent, whole)})"
    )


def _running_table(results: StudyResults, running: list[TrialResult]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("#", "step", "tokens", "loss", "val loss", "lr", "tok/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("change", overflow="fold", min_width=12)
    rows = {row.number: row for row in trial_rows(results)}
    for trial in running:
        table.add_row(*_running_cells(trial, rows[str(trial.number)]))
    return table


def _running_cells(trial: TrialResult, row: TrialRow) -> list[Text]:
    """The last point of a running trial; quantities that a point may lack by their newest."""
    points = trial.curve.points
    cells = [
        row.number,
        str(points[-1].step) if points else words.ABSENT,
        words.count(points[-1].tokens if points else trial.tokens),
        words.nats(_newest(trial, "train_loss")),
        words.nats(trial.curve.last_val_loss),
        words.value_words(_newest(trial, "learning_rate")) if points else words.ABSENT,
        row.tokens_per_s,
        "the baseline" if trial.is_baseline else row.changes,
    ]
    return [Text(cell) for cell in cells]


def _newest(trial: TrialResult, quantity: str) -> float | None:
    _, values = trial.curve.series(quantity)
    return float(values[-1]) if len(values) else None
