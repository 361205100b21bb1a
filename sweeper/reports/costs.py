"""What a study has cost, in words: a row for each line of its books, sentences, and a CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from sweeper.curves.finding import StopReason
from sweeper.reports import words
from sweeper.reports.files import replace_file
from sweeper.search.ledger import Ledger, Line, Saving
from sweeper.study import StudySpec


@dataclass(frozen=True)
class CostRow:
    """A line of the books, as plain words."""

    name: str
    reason: StopReason | None
    trials: str
    tokens: str
    seconds: str
    share: str
    money: str


def cost_rows(ledger: Ledger) -> list[CostRow]:
    """All lines that are not empty, and their sum."""
    whole = ledger.total
    lines = [line for line in ledger.lines if line.num_trials or line.seconds]
    return [_row(line, whole, ledger) for line in (*lines, whole)]


def _row(line: Line, whole: Line, ledger: Ledger) -> CostRow:
    return CostRow(
        name=line_words(line),
        reason=line.reason,
        trials=f"{line.num_trials:,}" if line.num_trials else words.ABSENT,
        tokens=words.count(line.tokens),
        seconds=words.duration(line.seconds),
        share=words.share(line.seconds, whole.seconds),
        money=money_words(line.money, ledger),
    )


def line_words(line: Line) -> str:
    """What a line is about."""
    return line.what if line.reason is None else words.stop_words(line.reason)


def money_words(money: float | None, ledger: Ledger) -> str:
    """An amount with its currency; absent without a price."""
    if money is None or ledger.price is None:
        return words.ABSENT
    return f"{money:,.2f} {ledger.price.currency}"


def cost_sentences(ledger: Ledger, spec: StudySpec) -> str:
    """Where it went, what was saved, and what the numbers mean."""
    evaluations = "without evaluations" if spec.command is None else "with its evaluations"
    said = [
        cost_line(ledger),
        _saved_sentence(ledger),
        f"Time is that of workers; a trial's is its training, {evaluations}, and what trials "
        "trained together is shared by their tokens.",
        _price_sentence(ledger),
    ]
    return " ".join(filter(None, said))


def cost_line(ledger: Ledger) -> str:
    """The whole in a sentence, for the terminal as well."""
    whole = ledger.total
    parts = [
        f"{words.count(whole.tokens)} tokens",
        f"{words.duration(whole.seconds)} of workers' time",
        f"{words.duration(ledger.wall_clock_s)} on the clock" if ledger.wall_clock_s else "",
        money_words(whole.money, ledger) if ledger.price else "",
    ]
    text = f"Spent in all: {', '.join(filter(None, parts))}"
    spent = [
        f"{words.count(line.tokens)} tokens on {what}"
        for line, what in (
            (ledger.verification, "other seeds"),
            (ledger.wasted, "failures and interruptions"),
        )
        if line.tokens
    ]
    return f"{text}; of these {' and '.join(spent)}." if spent else f"{text}."


def _saved_sentence(ledger: Ledger) -> str:
    pruned, lent = ledger.saved(by_pruning=True), ledger.saved(by_pruning=False)
    said = []
    if pruned.num_trials:
        said.append(
            f"Stopping {words.plural(pruned.num_trials, 'trial')} early saved "
            f"{_saving_words(pruned, ledger)}."
        )
    if lent.num_trials:
        verb = "was" if lent.num_trials == 1 else "were"
        said.append(
            f"{words.plural(lent.num_trials, 'trial')} {verb} the same experiment as an earlier "
            f"one, took its result and cost nothing, which saved {_saving_words(lent, ledger)}."
        )
    return " ".join(said)


def _saving_words(saving: Saving, ledger: Ledger) -> str:
    money = f" or {money_words(saving.money, ledger)}" if saving.money is not None else ""
    tokens, seconds = words.count(saving.tokens), words.duration(saving.seconds)
    return f"{tokens} tokens, about {seconds}{money} at these trials' speed"


def _price_sentence(ledger: Ledger) -> str:
    price = ledger.price
    if price is None:
        return ""
    if price.is_per_worker:
        return f"Money is each line's time at {price.amount:g} {price.currency} a worker's hour."
    return (
        f"Money is the time on the clock at {price.amount:g} {price.currency} an hour, shared "
        "among the lines of the search by their time."
    )


_CSV_COLUMNS = ("kind", "what", "trials", "tokens", "seconds", "money", "currency")


def write_ledger_csv(ledger: Ledger, path: Path) -> Path:
    """Write the books, numbers in full precision: what was spent by line, then what was saved.

    Raises:
        StorageError: The file cannot be written.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    currency = ledger.price.currency if ledger.price else None
    for ln in ledger.lines:
        writer.writerow(
            ("spent", ln.what, ln.num_trials, ln.tokens, ln.seconds, ln.money, currency)
        )
    for saving in ledger.savings:
        what = "same experiment" if saving.reason is None else saving.reason.value
        numbers = (saving.num_trials, saving.tokens, saving.seconds, saving.money)
        writer.writerow(("saved", what, *numbers, currency))
    return replace_file(path, buffer.getvalue())
