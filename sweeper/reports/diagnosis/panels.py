"""How a quantity is drawn, be its points few or many; and the small panels under the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from sweeper.curves import FindingKind
from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.diagnosis.rate import scheduled_rate
from sweeper.reports import canvas
from sweeper.reports.diagnosis.marks import shade
from sweeper.reports.diagnosis.series import Series, band, series_of

FEW_POINTS = 60  # so many that each can have a marker
_MOST_POINTS = 1500  # more than these, and their noise becomes a band


@dataclass(frozen=True)
class Panel:
    """A small panel under the loss."""

    quantity: str
    label: str
    series: Series
    is_log: bool = False


def panels_of(diagnosis: Diagnosis) -> list[Panel]:
    """What the log knows beside its losses; the rate from the schedule where it was not logged."""
    case = diagnosis.case
    rate = Panel("rate", "learning\nrate", series_of(case.curve, "learning_rate").finite)
    if len(rate.series) < 2:
        rate = Panel("rate", "learning rate\n(recomputed)", _scheduled(diagnosis))
    speed = Panel("speed", "seconds\na step", series_of(case.curve, "step_seconds").finite)
    gradients = series_of(case.curve, "grad_norm").finite
    is_log = len(gradients) > 0 and bool(np.all(gradients.values > 0))
    norms = Panel("gradients", "gradient\nnorm", gradients, is_log)
    return [panel for panel in (rate, speed, norms) if len(panel.series) > 1]


def _scheduled(diagnosis: Diagnosis) -> Series:
    steps = [point.step for point in diagnosis.case.curve]
    grid = sorted({round(step) for step in np.linspace(steps[0], steps[-1], 200)})
    rates = [(step, scheduled_rate(diagnosis.case.config, step)) for step in grid]
    known = [(step, rate) for step, rate in rates if rate is not None]
    return Series(np.array([p[0] for p in known]), np.array([p[1] for p in known]))


def draw_panel(axes: Axes, panel: Panel, diagnosis: Diagnosis, steps: Sequence[int]) -> None:
    """Draw a panel; the speed with its segments and its drops."""
    axes.set_ylabel(panel.label, fontsize=9)
    axes.tick_params(labelsize=9)
    is_speed = panel.quantity == "speed"
    drops = [f for f in diagnosis.case.findings if f.kind is FindingKind.THROUGHPUT_DROP]
    shade(axes, drops if is_speed else [], steps)
    draw_line(axes, panel.series, "#444444", "-", ".", 1.4)
    if is_speed:  # each time is a mean since the point before, not a value at its step
        for line in axes.lines:
            line.set_drawstyle("steps-pre")
    if panel.is_log:
        axes.set_yscale("log")
        canvas.show_plain(axes.yaxis)
        return
    canvas.show_plain(axes.yaxis)
    top = float(panel.series.values.max())
    if is_speed:
        top = min(top, 3 * float(np.quantile(panel.series.values, 0.9)))
        for segment in diagnosis.speed:
            axes.hlines(
                segment.step_seconds,
                segment.start_step,
                segment.end_step,
                color=canvas.VERMILLION,
                linewidth=2.2,
                zorder=4,
            )
    if top > 0 and math.isfinite(top):
        axes.set_ylim(0, 1.15 * top)


def draw_line(
    axes: Axes, series: Series, colour: str, dashes: str, marker: str, width: float
) -> None:
    """A line with markers, a plain line, or, for very many points, a band around its middle."""
    if len(series) > _MOST_POINTS:
        wide, smooth = band(series, 900), band(series, 180)
        axes.fill_between(wide.steps, wide.low, wide.high, color=colour, alpha=0.3, linewidth=0)
        axes.plot(smooth.steps, smooth.middle, dashes, color=colour, linewidth=width, zorder=3)
        return
    has_markers = len(series) <= FEW_POINTS
    axes.plot(
        series.steps,
        series.values,
        dashes,
        color=colour,
        linewidth=width if has_markers else width * 0.7,
        marker=marker if has_markers else None,
        markersize=6,
        zorder=3,
    )
