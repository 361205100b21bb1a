"""The report's figures; matplotlib's object API only, so no window and no global state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sweeper.reports.canvas import save
from sweeper.reports.figures.ablation import figure_ablation
from sweeper.reports.figures.bars import figure_importance
from sweeper.reports.figures.comparison import figure_best_against_baseline
from sweeper.reports.figures.scatter import figure_learning_rate_batch
from sweeper.reports.figures.spikes import figure_spikes
from sweeper.reports.figures.throughput import figure_throughput
from sweeper.reports.figures.val_loss import figure_val_loss
from sweeper.reports.figures.verdicts import figure_verdicts
from sweeper.search.results import StudyResults

__all__ = [
    "FIGURES",
    "draw_ablation",
    "draw_best_against_baseline",
    "draw_importance",
    "draw_learning_rate_batch",
    "draw_spikes",
    "draw_throughput",
    "draw_val_loss",
    "draw_verdicts",
    "figure_ablation",
    "figure_best_against_baseline",
    "figure_importance",
    "figure_learning_rate_batch",
    "figure_spikes",
    "figure_throughput",
    "figure_val_loss",
    "figure_verdicts",
]


def draw_val_loss(results: StudyResults, path: Path) -> Path:
    """Validation loss over tokens for every trial, the recorded log in its own panel."""
    return save(figure_val_loss, results, path)


def draw_best_against_baseline(results: StudyResults, path: Path) -> Path:
    """Train and validation loss, learning rate and gradient norm: the best and the baseline."""
    return save(figure_best_against_baseline, results, path)


def draw_learning_rate_batch(results: StudyResults, path: Path) -> Path:
    """Every trial by learning rate and effective batch; colour is its validation loss."""
    return save(figure_learning_rate_batch, results, path)


def draw_importance(results: StudyResults, path: Path) -> Path:
    """How much each hyperparameter mattered, as bars."""
    return save(figure_importance, results, path)


def draw_throughput(results: StudyResults, path: Path) -> Path:
    """Tokens per second of every trial, by block size."""
    return save(figure_throughput, results, path)


def draw_verdicts(results: StudyResults, path: Path) -> Path:
    """Every comparison on other seeds: differences, mean and interval."""
    return save(figure_verdicts, results, path)


def draw_ablation(results: StudyResults, path: Path) -> Path:
    """What each change of the best recipe does, taken back and made alone, beside importance."""
    return save(figure_ablation, results, path)


def draw_spikes(results: StudyResults, path: Path) -> Path:
    """The steps around examined spikes, with one change at a time."""
    return save(figure_spikes, results, path)


FIGURES: dict[str, Callable[[StudyResults, Path], Path]] = {
    "val_loss": draw_val_loss,
    "best_against_baseline": draw_best_against_baseline,
    "learning_rate_batch": draw_learning_rate_batch,
    "importance": draw_importance,
    "throughput": draw_throughput,
    "verdicts": draw_verdicts,
    "ablation": draw_ablation,
    "spikes": draw_spikes,
}
