"""The table of trials for reading and as CSV."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sweeper.curves.finding import StopReason
from sweeper.reports.rows import MOST_ROWS, page_rows
from sweeper.reports.tables import markdown_table, trial_rows, trials_table, write_trials_csv
from sweeper.search.results import StudyResults
from sweeper.study import StudySpec

from . import fakes


def printed(renderable: object, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def plain(renderable: object, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_rows_are_best_first_and_end_with_those_without_a_loss(results: StudyResults) -> None:
    rows = trial_rows(results)
    completed = [float(row.val_loss) for row in rows if row.ended == "completed"]
    assert completed == sorted(completed)
    assert rows[0].is_best
    assert [row.ended for row in rows[: len(completed)]] == ["completed"] * len(completed)
    assert {row.val_loss for row in rows[-3:]} == {"NaN", "\u2013"}


def test_a_row_says_what_changed_and_by_how_much(spec: StudySpec) -> None:
    best = fakes.trial(1, fakes.learning_curve(3.9), learning_rate=0.0032, batch_size=32)
    baseline = fakes.trial(0, fakes.learning_curve(5.3))
    baseline = replace(baseline, val_loss=5.4)
    row = trial_rows(fakes.results_of(spec, baseline, replace(best, val_loss=3.9)))[0]
    assert (row.what, row.delta, row.perplexity) == ("sampled", "-1.500", "\u00d70.223")
    assert row.changes == "lr 0.0032, batch 32\u00d71"


def test_without_a_baseline_there_is_no_difference(spec: StudySpec) -> None:
    row = trial_rows(fakes.results_of(spec, fakes.trial(3, fakes.learning_curve(4))))[0]
    assert (row.delta, row.perplexity) == ("\u2013", "\u2013")
    assert row.changes.startswith("lr 2e-5, block 256, batch 8\u00d71, cosine")


def test_the_baseline_shows_its_main_hyperparameters_only(spec: StudySpec) -> None:
    baseline = fakes.trial(0, fakes.learning_curve(5.3), dropout=0.0, precision="auto")
    times = "\u00d7"
    assert [row.changes for row in trial_rows(fakes.results_of(spec, baseline))] == [
        f"lr 2e-5, block 256, batch 8{times}1, cosine, rank 8"
    ]


def test_a_trial_without_hyperparameters_has_not_changed_nothing(spec: StudySpec) -> None:
    waiting = replace(fakes.trial(1, stop_reason=None), hyperparameters={})
    rows = trial_rows(fakes.results_of(spec, fakes.trial(0), waiting))
    assert [row.changes for row in rows][1] == "not chosen yet"


def test_a_lent_result_names_its_lender(results: StudyResults) -> None:
    row = next(row for row in trial_rows(results) if row.number == "9")
    assert row.what == "sampled, same as 4"


def test_csv_gives_the_numbers_back_exactly(results: StudyResults, tmp_path: Path) -> None:
    path = write_trials_csv(results, tmp_path / "trials.csv")
    rows = read_csv(path)
    assert [int(row["trial"]) for row in rows] == [trial.number for trial in results.trials]
    for row, trial in zip(rows, results.trials, strict=True):
        assert float(row["learning_rate"]) == trial.hyperparameters["learning_rate"]
        assert int(row["tokens"]) == trial.tokens
        loss = float(row["val_loss"]) if row["val_loss"] else None
        both_nan = loss is not None and trial.val_loss is not None and math.isnan(loss)
        assert loss == trial.val_loss or (both_nan and math.isnan(trial.val_loss or 0))
        assert row["stop_reason"] == (trial.stop_reason or "")


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\x1b[0m=1"])
def test_csv_disarms_formulas(spec: StudySpec, tmp_path: Path, formula: str) -> None:
    trial = replace(fakes.trial(1, note=formula), hypothesis=formula, evidence=formula)
    path = write_trials_csv(fakes.results_of(spec, trial), tmp_path / "trials.csv")
    row = read_csv(path)[0]
    for column in ("what", "hypothesis", "evidence", "note"):
        assert row[column].startswith("'")


def test_csv_keeps_a_negative_number_a_number(results: StudyResults, tmp_path: Path) -> None:
    path = write_trials_csv(results, tmp_path / "trials.csv")
    rows = read_csv(path)
    assert min(float(row["delta_nats"]) for row in rows if row["delta_nats"] not in ("", "nan")) < 0


def test_csv_renames_a_hyperparameter_that_meets_a_column(spec: StudySpec, tmp_path: Path) -> None:
    results = fakes.results_of(spec, fakes.trial(0, tokens="many"))
    path = write_trials_csv(results, tmp_path / "trials.csv")
    row = read_csv(path)[0]
    assert (row["tokens"], row["hyperparameter_tokens"]) == ("0", "many")


def test_csv_of_no_trials_is_its_header(spec: StudySpec, tmp_path: Path) -> None:
    path = write_trials_csv(fakes.results_of(spec), tmp_path / "trials.csv")
    assert path.read_text(encoding="utf-8").startswith("trial,what,hypothesis")
    assert path.read_text(encoding="utf-8").count("\n") == 1


def test_a_hostile_name_stays_in_its_markdown_cell(spec: StudySpec) -> None:
    trial = replace(fakes.trial(1), hypothesis=fakes.HOSTILE)
    lines = markdown_table(trial_rows(fakes.results_of(spec, trial))).split("\n")
    assert len(lines) == 3
    bars = [line.replace("\\|", "").count("|") for line in lines]
    assert len(set(bars)) == 1
    assert "<" not in lines[2]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_terminal_table_fits(results: StudyResults, width: int) -> None:
    text = plain(trials_table(results, width=width), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "out of memory" in text
    assert "3.908" in text
    assert "lr " in text


def test_narrow_terminals_lose_speed_not_loss(results: StudyResults) -> None:
    wide, usual, narrow = (
        {column.header for column in trials_table(results, width=width).columns}
        for width in (140, 100, 80)
    )
    assert wide - usual == {"ppl", "time"}
    assert usual - narrow == {"tokens", "tok/s"}
    assert {"val loss", "\u0394 nats", "ended"} <= narrow


def test_stop_reasons_have_colour_and_words(results: StudyResults) -> None:
    text = printed(trials_table(results))
    assert "\x1b[31mspike" in text
    assert "\x1b[33mplateau" in text


def test_a_limit_keeps_the_baseline_and_says_what_is_hidden(results: StudyResults) -> None:
    text = plain(trials_table(results, limit=3))
    assert "21 more trials in trials.csv" in text
    assert "baseline" in text.split("more trials")[0]


def test_markup_and_escapes_in_names_have_no_effect(spec: StudySpec) -> None:
    trial = replace(fakes.trial(1), hypothesis="[red]x[/red]\x1b[5m")
    assert "[red]x[/red]" in plain(trials_table(fakes.results_of(spec, trial)))
    assert "\x1b[5m" not in printed(trials_table(fakes.results_of(spec, trial)))


def test_every_stop_reason_has_a_colour(spec: StudySpec) -> None:
    trials = [fakes.trial(number, stop_reason=reason) for number, reason in enumerate(StopReason)]
    text = plain(trials_table(fakes.results_of(spec, *trials)))
    assert text.count("\n") >= len(StopReason)


def test_a_page_of_many_trials_has_both_ends_and_the_baseline(
    spec: StudySpec, tmp_path: Path
) -> None:
    results = fakes.crowd(spec)
    whole = trial_rows(results)

    rows = page_rows(results)

    assert len(whole) > MOST_ROWS >= len(rows)
    (gap,) = (place for place, row in enumerate(rows) if row.number == "…")
    assert gap > 1
    assert rows[: gap - 1] == whole[: gap - 1]
    assert rows[gap - 1].is_baseline
    assert rows[gap + 1 :] == whole[gap + 1 - len(rows) :]
    hidden = len(whole) - len(rows) + 1
    assert rows[gap].what == f"{hidden} more trials in trials.csv"
    assert len(read_csv(write_trials_csv(results, tmp_path / "trials.csv"))) == len(whole)


def test_a_page_of_few_trials_has_all(results: StudyResults) -> None:
    assert page_rows(results) == trial_rows(results)
