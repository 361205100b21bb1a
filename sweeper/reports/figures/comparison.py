"""The best trial against the baseline, in the four quantities that explain a difference."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from sweeper.reports import canvas, words
from sweeper.search.results import StudyResults, TrialResult

_PANELS = (
    ("train_loss", "train loss (nats per token)"),
    ("val_loss", "validation loss (nats per token)"),
    ("learning_rate", "learning rate"),
    ("grad_norm", "gradient norm before clipping"),
)
_LOG_FROM_RATIO = 20.0
_MOST_DECADES = 6.0


def figure_best_against_baseline(results: StudyResults) -> Figure:
    """Build the figure: losses above, learning rate and gradient norm below, over tokens."""
    pairs = _named(results)
    if not pairs:
        return canvas.empty_figure("Neither the baseline nor a completed trial has a curve yet.")
    figure = canvas.new_figure(7.4)
    grid = figure.subplots(2, 2, sharex=True)
    for axes, (quantity, title) in zip(grid.flat, _PANELS, strict=True):
        _draw_panel(axes, pairs, quantity, title)
    for axes in grid[1]:
        axes.set_xlabel("tokens seen")
        canvas.show_tokens(axes.xaxis)
    canvas.legend_below(figure, [_handle(trial, colour) for trial, colour in pairs])
    return figure


def _named(results: StudyResults) -> list[tuple[TrialResult, str]]:
    pairs = [(results.baseline, canvas.BLACK)]
    if results.best is not results.baseline:
        pairs.append((results.best, canvas.BLUE))
    return [(trial, colour) for trial, colour in pairs if trial is not None and len(trial.curve)]


def _handle(trial: TrialResult, colour: str) -> Line2D:
    if trial.is_baseline:
        text = f"baseline (trial {trial.number})"
    else:
        hypothesis = f": {canvas.label(trial.hypothesis)}" if trial.hypothesis else ""
        text = f"best (trial {trial.number}{hypothesis})"
    return Line2D([], [], color=colour, linewidth=2.4, linestyle=_dashes(trial), label=text)


def _dashes(trial: TrialResult) -> str:
    return "--" if trial.is_baseline else "-"


def _draw_panel(
    axes: Axes, pairs: list[tuple[TrialResult, str]], quantity: str, title: str
) -> None:
    axes.set_title(title)
    values: list[float] = []
    starts: list[float] = []
    for trial, colour in pairs:
        tokens, series = trial.curve.series(quantity)
        series = np.where(np.isfinite(series), series, np.nan)
        drawn = canvas.finite(series.tolist())
        if not drawn:
            continue
        values += drawn
        starts.append(drawn[0])
        _draw_series(axes, trial, quantity, colour, tokens, series)
    if not values:
        canvas.note(axes, "Nothing was recorded.")
    elif quantity.endswith("loss"):
        axes.set_ylim(*canvas.loss_limits(starts, values))
    else:
        _choose_scale(axes, values)


def _draw_series(
    axes: Axes,
    trial: TrialResult,
    quantity: str,
    colour: str,
    tokens: NDArray[np.int64],
    series: NDArray[np.float64],
) -> None:
    dashes = _dashes(trial)
    if quantity == "train_loss":
        dot = "o" if len(tokens) == 1 else None
        axes.plot(tokens, series, color=colour, alpha=0.22, linewidth=0.8, marker=dot, label="raw")
        axes.plot(tokens, smooth(series), dashes, color=colour, linewidth=2.2, label="smoothed")
    elif quantity == "val_loss" or len(tokens) == 1:
        axes.plot(tokens, series, dashes, color=colour, marker="o", markersize=4.5, linewidth=1.8)
    else:
        thin = quantity == "grad_norm"
        axes.plot(tokens, series, dashes, color=colour, linewidth=1.2 if thin else 2.2, alpha=0.8)


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over a centred window of a 25th of the series; NaN counts for nothing."""
    half = max(len(values) // 50, 1)
    kernel = np.ones(2 * half + 1)
    known = np.isfinite(values)
    total = np.convolve(np.where(known, values, 0.0), kernel)[half : half + len(values)]
    weight = np.convolve(known.astype(np.float64), kernel)[half : half + len(values)]
    means = total / np.maximum(weight, 1.0)
    return np.where(known, means, np.nan)


def _choose_scale(axes: Axes, values: list[float]) -> None:
    """Logarithmic where values span much, at most six decades; linear from zero elsewhere."""
    positive = [value for value in values if value > 0]
    if positive and max(positive) > _LOG_FROM_RATIO * float(np.median(positive)) / 2:
        axes.set_yscale("log", nonpositive="mask")
        top = max(positive)
        low = max(min(positive), top * 10**-_MOST_DECADES)
        axes.set_ylim(low / 1.5, top * 1.5)
        axes.yaxis.set_major_locator(LogLocator(numticks=8))
        canvas.show_plain(axes.yaxis)
    elif positive:
        axes.set_ylim(0, 1.06 * max(positive))
        axes.yaxis.set_major_formatter(lambda value, _: words.value_words(float(value)))
