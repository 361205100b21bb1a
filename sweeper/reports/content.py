"""What a report says, before it is Markdown or HTML: plain values in reading order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sweeper.reports import takeaways, words
from sweeper.reports.ablation import AblationRow, ablation_rows, ablation_sentences
from sweeper.reports.audits import audit_sentences
from sweeper.reports.conclusions import caveat, conclude
from sweeper.reports.costs import CostRow, cost_rows, cost_sentences
from sweeper.reports.examinations import ExaminedSpike, examined_spikes
from sweeper.reports.gradients import GradNormMaximum, grad_norm_maxima
from sweeper.reports.hypotheses import HypothesisRow, hypothesis_rows
from sweeper.reports.recipe import recipe_yaml
from sweeper.reports.rows import MOST_ROWS, TrialRow, page_rows, state_words
from sweeper.reports.settings import portable, setting_rows
from sweeper.reports.stuck import Stuck, why_stuck
from sweeper.reports.verdicts import VerdictRow, verdict_rows, verdict_sentences
from sweeper.reports.winner import WinnerRow, winner_rows, winner_sentences
from sweeper.search.ledger import keep_books
from sweeper.search.results import StudyResults, TrialResult
from sweeper.search.verifying.ablation import read_ablation

MARKDOWN_FILE = "report.md"
HTML_FILE = "report.html"
CSV_FILE = "trials.csv"
LEDGER_FILE = "ledger.csv"
_MOST_STRETCHES = 40
_MOST_STOPS = 40


@dataclass(frozen=True)
class FigureText:
    """A figure's name in `figures.FIGURES`, its file, its heading and what it shows."""

    name: str
    file: str
    title: str
    takeaway: str


@dataclass(frozen=True)
class GradientRow:
    """A stretch of steps with one cell per trial."""

    steps: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class GradientTable:
    """Largest gradient norms of the baseline and the best trial, side by side."""

    names: tuple[str, ...]
    rows: tuple[GradientRow, ...]
    remark: str


@dataclass(frozen=True)
class ReportContent:
    """Everything that both templates show; all texts are plain, none is escaped."""

    title: str
    headline: str
    caveat: str
    stuck: Stuck | None
    recipe: str | None
    recipe_intro: str
    reproduce: str
    verdicts: list[VerdictRow]
    verdict_text: str
    winners: list[WinnerRow]
    winner_text: str
    ablation: list[AblationRow]
    ablation_text: str
    hypotheses: list[HypothesisRow]
    figures: list[FigureText]
    rows: list[TrialRow]
    rows_text: str
    costs: list[CostRow]
    has_price: bool
    cost_text: str
    audit_text: str
    stops: list[tuple[str, str, str]]
    spikes: list[ExaminedSpike]
    gradients: GradientTable
    settings: list[tuple[str, str]]
    files: list[tuple[str, str]]


_FIGURES: tuple[tuple[str, str, Callable[[StudyResults], str]], ...] = (
    ("val_loss", "Validation loss of every trial", takeaways.val_loss_takeaway),
    ("best_against_baseline", "The best against the baseline", takeaways.comparison_takeaway),
    ("learning_rate_batch", "Learning rate and batch", takeaways.plane_takeaway),
    ("importance", "Which hyperparameters matter", takeaways.importance_takeaway),
    ("throughput", "Training speed", takeaways.throughput_takeaway),
)


_VERDICTS = (("verdicts", "Other seeds", takeaways.verdicts_takeaway),)
_ABLATION = (("ablation", "Which change carried the gain", takeaways.ablation_takeaway),)
_SPIKES = (("spikes", "Spikes taken again", takeaways.spikes_takeaway),)


def report_content(results: StudyResults) -> ReportContent:
    """Collect what the report says."""
    best, ledger = results.best, keep_books(results)
    spikes = _SPIKES if any(trial.examination for trial in results.trials) else ()
    figures = [
        FigureText(name, f"{name}.png", title, say(results))
        for name, title, say in (
            *(_VERDICTS if results.verification else ()),
            *(_ABLATION if read_ablation(results.verification) else ()),
            *_FIGURES,
            *spikes,
        )
    ]
    return ReportContent(
        title=words.clean(results.spec.name, 120),
        headline=conclude(results),
        caveat=caveat(results),
        stuck=why_stuck(results),
        recipe=None if best is None else recipe_yaml(best),
        recipe_intro="" if best is None else _recipe_intro(best),
        reproduce=f"sweeper reproduce {words.shell_word(portable(str(results.spec.path)))}",
        verdicts=verdict_rows(results.verification),
        verdict_text=verdict_sentences(results),
        winners=winner_rows(results),
        winner_text=winner_sentences(results),
        ablation=ablation_rows(results),
        ablation_text=ablation_sentences(results),
        hypotheses=hypothesis_rows(results),
        figures=figures,
        rows=page_rows(results),
        rows_text=_rows_text(results),
        costs=cost_rows(ledger),
        has_price=ledger.price is not None,
        cost_text=cost_sentences(ledger, results.spec),
        audit_text=audit_sentences(results, ledger),
        stops=_stops(results),
        spikes=examined_spikes(results),
        gradients=_gradient_table(results),
        settings=setting_rows(results.spec),
        files=_files(figures),
    )


def _recipe_intro(best: TrialResult) -> str:
    origin = "the baseline" if best.is_baseline else f"trial {best.number}"
    return f"The hyperparameters of {origin} gave the lowest validation loss."


def _stops(results: StudyResults) -> list[tuple[str, str, str]]:
    """Number, end and evidence of trials that did not complete; the rest is in the CSV."""
    stopped = [
        (str(trial.number), state_words(trial), words.clean(trial.evidence, 300))
        for trial in results.trials
        if trial.stop_reason is not None and not trial.completed and trial.evidence
    ]
    hidden = len(stopped) - _MOST_STOPS
    if hidden <= 0:
        return stopped
    return [*stopped[:_MOST_STOPS], ("\u2026", "", f"{hidden:,} more in {CSV_FILE}")]


def _rows_text(results: StudyResults) -> str:
    """Which trials the table has, where it has not all."""
    amount = len(results.trials)
    if amount <= MOST_ROWS:
        return ""
    return (
        f"Of {amount:,} trials the table has the first and the last, the baseline and the "
        f"hypotheses; all are in {CSV_FILE}."
    )


def _gradient_table(results: StudyResults) -> GradientTable:
    trials = [("baseline", results.baseline)]
    if results.best is not results.baseline and results.best is not None:
        trials.append((f"best (trial {results.best.number})", results.best))
    every = _stretch([trial for _, trial in trials if trial is not None])
    maxima = {
        name: {m.start_step: m for m in grad_norm_maxima(trial.curve, every)}
        for name, trial in trials
        if trial is not None
    }
    starts = sorted({start for stretches in maxima.values() for start in stretches})
    rows = [_gradient_row(start, [own.get(start) for own in maxima.values()]) for start in starts]
    remark = (
        f"The largest norm before clipping in every {every} steps. A step of one trial need not "
        "be as many tokens as a step of the other."
    )
    return GradientTable(tuple(maxima), tuple(rows), remark)


def _stretch(trials: list[TrialResult]) -> int:
    """Steps per row: 100, or more where that would make too long a table."""
    last = max((trial.curve.points[-1].step for trial in trials if len(trial.curve)), default=0)
    return 100 * max(1, math.ceil(last / (100 * _MOST_STRETCHES)))


def _gradient_row(start: int, maxima: list[GradNormMaximum | None]) -> GradientRow:
    end = max(m.end_step for m in maxima if m is not None)
    return GradientRow(f"{start} to {end}", tuple(_gradient_cell(m) for m in maxima))


def _gradient_cell(maximum: GradNormMaximum | None) -> str:
    if maximum is None:
        return words.ABSENT
    text = words.number(maximum.maximum, ".3g")
    return f"{text} ({maximum.num_non_finite} not finite)" if maximum.num_non_finite else text


def _files(figures: list[FigureText]) -> list[tuple[str, str]]:
    return [
        (HTML_FILE, "this report as one page with its figures inside"),
        (MARKDOWN_FILE, "this report as text"),
        (CSV_FILE, "all trials, numbers in full precision"),
        (LEDGER_FILE, "what was spent and saved, line by line"),
        *((figure.file, figure.title) for figure in figures),
    ]
