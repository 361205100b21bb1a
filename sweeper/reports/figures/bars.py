"""How much each hyperparameter mattered, as horizontal bars."""

from __future__ import annotations

from matplotlib.figure import Figure

from sweeper.reports import canvas
from sweeper.reports.conclusions import (
    MIN_COMPLETED_FOR_IMPORTANCE,
    num_completed,
    ranked_importances,
)
from sweeper.search.results import StudyResults

_MOST_BARS = 20


def figure_importance(results: StudyResults) -> Figure:
    """Build the figure: the most important on top, a warning where few trials completed."""
    ranked = ranked_importances(results)
    amount = num_completed(results)
    if not ranked:
        return canvas.empty_figure(f"No importances: too few completed trials: {amount}")
    shown = ranked[:_MOST_BARS][::-1]
    figure = canvas.new_figure(1.5 + 0.38 * len(shown))
    axes = figure.add_subplot()
    bars = axes.barh(
        range(len(shown)), [value for _, value in shown], color=canvas.BLUE, height=0.65
    )
    axes.set_yticks(range(len(shown)), [canvas.label(name.replace("_", " ")) for name, _ in shown])
    axes.bar_label(bars, labels=[f"{value:.0%}" for _, value in shown], padding=4)
    axes.set_xlim(0, 1.12 * max(max(value for _, value in shown), 1e-6))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(visible=False, axis="y")
    warning = (
        "" if amount >= MIN_COMPLETED_FOR_IMPORTANCE else f"; too few completed trials: {amount}"
    )
    axes.set_title(f"Importance for the validation loss{warning}")
    return figure
