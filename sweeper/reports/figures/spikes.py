"""The steps around examined spikes, as they were and with one change at a time."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sweeper.reports import canvas
from sweeper.search.results import StudyResults
from sweeper.training.examination import Change, Examination

_MOST_PANELS = 4
_LOOK = {
    Change.NOTHING: (canvas.BLACK, 2.4),
    Change.BATCH: (canvas.GREY, 1.0),
    Change.HALF_RATE: (canvas.BLUE, 2.0),
    Change.TENTH_RATE: (canvas.SKY, 1.6),
    Change.HUNDREDTH_RATE: (canvas.GREEN, 1.6),
    Change.MOMENTS: (canvas.PURPLE, 1.6),
}


def figure_spikes(results: StudyResults) -> Figure:
    """Build the figure: a panel for each examined trial, the first four."""
    found = [t.examination for t in results.trials if t.examination is not None][:_MOST_PANELS]
    if not found:
        return canvas.empty_figure("No spike was examined")
    figure = canvas.new_figure(0.8 + 3.0 * len(found))
    for number, examination in enumerate(found, start=1):
        _draw(figure.add_subplot(len(found), 1, number), examination)
    shown = {one.change for examination in found for one in examination.experiments}
    handles = [
        Line2D([], [], color=colour, linewidth=width, label=change.value)
        for change, (colour, width) in _LOOK.items()
        if change in shown
    ]
    canvas.legend_below(figure, handles, columns=5)
    return figure


def _draw(axes: Axes, found: Examination) -> None:
    values = []
    for one in reversed(found.experiments):  # the unchanged one on top
        colour, width = _LOOK[one.change]
        steps = range(one.first_step, one.first_step + len(one.train_losses))
        losses = [math.nan if loss is None else loss for loss in one.train_losses]
        axes.plot(steps, losses, color=colour, linewidth=width)
        values += canvas.finite(one.train_losses)
    axes.axvline(found.onset_step, color=canvas.VERMILLION, linestyle="--", linewidth=1.2)
    axes.set_title(
        f"Trial {found.trial}: {found.cause.value} (the spike begins at the dashed line)"
    )
    axes.set_xlabel("step")
    axes.set_ylabel("training loss (nats)")
    if values:
        room = 0.06 * max(max(values) - min(values), 1e-6)
        axes.set_ylim(min(values) - room, max(values) + room)
