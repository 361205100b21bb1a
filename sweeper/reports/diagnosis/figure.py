"""The figure of a diagnosis: the loss over steps with what was found, and what went with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from sweeper.curves import Finding, FindingKind, StopReason
from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.reports import canvas, words
from sweeper.reports.diagnosis import phrases
from sweeper.reports.diagnosis.marks import ON_LOSS, draw_lanes, kinds_of, shade
from sweeper.reports.diagnosis.panels import FEW_POINTS, draw_line, draw_panel, panels_of
from sweeper.reports.diagnosis.series import Floats, Series, series_of

_LOSS_IN, _SMALL_IN, _LANE_IN = 4.2, 1.15, 0.3
_MOST_CROSSES = 60  # across the whole axis: more would hide one another
_MOST_PEAKS = 5
_LOG_RATIO = 8.0  # of the greatest loss to the least; below it a linear axis reads better
_LOSSES = (
    ("train_loss", "train loss", canvas.SKY, "-", "o", 1.6),
    ("val_loss", "val loss", canvas.BLUE, "--", "s", 2.2),
)


def figure_diagnosis(diagnosis: Diagnosis) -> Figure:
    """Build the figure: findings in lanes, the loss, and the rate, speed and gradients if known."""
    curve = diagnosis.case.curve
    losses = {name: series_of(curve, name) for name, *_ in _LOSSES}
    if not any(len(series) for series in losses.values()):
        return canvas.empty_figure("The log holds no loss.")
    findings = diagnosis.case.findings
    steps = [point.step for point in curve]
    panels = panels_of(diagnosis)
    heights = [_LANE_IN * max(len(kinds_of(findings)), 1), _LOSS_IN, *[_SMALL_IN] * len(panels)]
    figure = canvas.new_figure(sum(heights) + 1.4)
    lanes, loss, *small = figure.subplots(
        len(heights), 1, sharex=True, height_ratios=heights, squeeze=False
    )[:, 0]
    _limit_steps(loss, steps)
    _draw_findings(lanes, diagnosis, findings, steps)
    handles = _draw_loss(loss, losses, [f for f in findings if f.kind in ON_LOSS], steps)
    handles += _draw_last_good(loss, diagnosis.last_good_step, losses)
    for axes, panel in zip(small, panels, strict=True):
        draw_panel(axes, panel, diagnosis, steps)
    _finish(figure, (small or [loss])[-1], handles)
    return figure


def _limit_steps(axes: Axes, steps: Sequence[int]) -> None:
    margin = 0.02 * max(steps[-1] - steps[0], 1)
    axes.set_xlim(steps[0] - margin, steps[-1] + margin)


def _draw_findings(
    axes: Axes, diagnosis: Diagnosis, findings: Sequence[Finding], steps: Sequence[int]
) -> None:
    title = canvas.label(phrases.source_words(diagnosis), 70)
    axes.set_title(f"What happened in {title}", pad=10)
    draw_lanes(axes, findings, steps)
    if not findings:
        axes.set_yticks([])
        canvas.note(axes, "nothing was found")


def _draw_loss(
    axes: Axes, losses: dict[str, Series], findings: Sequence[Finding], steps: Sequence[int]
) -> list[Line2D]:
    axes.set_ylabel("loss (nats per token)")
    shade(axes, findings, steps)
    handles = []
    for name, text, colour, dashes, marker, width in _LOSSES:
        series = losses[name].finite
        if len(series):
            draw_line(axes, series, colour, dashes, marker, width)
            few = marker if len(series) <= FEW_POINTS else None
            handles.append(
                Line2D([], [], color=colour, linestyle=dashes, marker=few, lw=width, label=text)
            )
    _scale_loss(axes, [losses[name].finite for name, *_ in _LOSSES])
    handles += _draw_peaks(axes, losses, findings)
    handles += _draw_overfit(axes, findings)
    return handles + _draw_crosses(axes, losses)


def _scale_loss(axes: Axes, drawn: Sequence[Series]) -> None:
    """Logarithmic where one linear axis could not show the greatest and the least loss."""
    values = np.concatenate([series.values for series in drawn])
    if len(values) == 0:
        canvas.note(axes, "No finite loss was logged.")
        axes.set_yticks([])
        return
    low, high = float(np.quantile(values, 0.01)), float(values.max())
    if low > 0 and high / low > _LOG_RATIO:
        axes.set_yscale("log")
        axes.set_ylim(low * 0.85, high * 1.25)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        canvas.show_plain(axes.yaxis)
        return
    low = float(values.min())
    room = max(high - low, 0.02 * abs(high), 1e-6)
    axes.set_ylim(low - 0.08 * room, high + 0.16 * room)


def _draw_peaks(axes: Axes, losses: dict[str, Series], findings: Sequence[Finding]) -> list[Line2D]:
    """A star on the highest point of every spike, the largest with their height."""
    spikes = [finding for finding in findings if finding.kind is FindingKind.SPIKE]
    spikes.sort(key=lambda finding: -finding.severity)
    shape, colour = canvas.MARKERS[StopReason.SPIKE]
    drawn = 0
    for place, finding in enumerate(spikes):
        peak = _peak(losses, finding)
        if peak is None:
            continue
        drawn += 1
        axes.scatter(*peak, marker=shape, s=190, color=colour, edgecolors="white", zorder=6)
        if place < _MOST_PEAKS:
            _annotate(axes, peak, f"+{finding.severity:.2f} nats", colour)
    if not drawn:
        return []
    return [
        Line2D([], [], ls="", marker=shape, ms=12, color=colour, mec="white", label="spike's peak")
    ]


def _peak(losses: dict[str, Series], finding: Finding) -> tuple[float, float] | None:
    """Step and height of the highest finite loss inside a finding."""
    best: tuple[float, float] | None = None
    for series in (losses[name].finite for name, *_ in _LOSSES):
        inside = (series.steps >= finding.start_step) & (series.steps <= finding.end_step)
        if not inside.any():
            continue
        place = int(np.argmax(np.where(inside, series.values, -np.inf)))
        if best is None or series.values[place] > best[1]:
            best = (float(series.steps[place]), float(series.values[place]))
    return best


def _annotate(axes: Axes, place: tuple[float, float], text: str, colour: str) -> None:
    """Words beside a point, on the side that has more room."""
    low, high = axes.get_xlim()
    is_right = place[0] < low + 0.85 * (high - low)
    axes.annotate(
        text,
        place,
        xytext=(9 if is_right else -9, 7),
        textcoords="offset points",
        ha="left" if is_right else "right",
        color=colour,
        fontweight="bold",
        fontsize=10,
        zorder=8,
        path_effects=canvas.halo(),
    )


def _draw_overfit(axes: Axes, findings: Sequence[Finding]) -> list[Line2D]:
    """A line where validation turned."""
    turns = [finding for finding in findings if finding.kind is FindingKind.OVERFIT]
    for finding in turns:
        axes.axvline(finding.start_step, color=canvas.PURPLE, linestyle="-.", linewidth=1.6)
    style = {"color": canvas.PURPLE, "linestyle": "-.", "linewidth": 1.6}
    return [Line2D([], [], label="validation turns up", **style)] if turns else []  # type: ignore[arg-type]


def _draw_crosses(axes: Axes, losses: dict[str, Series]) -> list[Line2D]:
    """A cross at the upper border for every loss that is not finite, or for some of very many."""
    steps = np.unique(
        np.concatenate([series.steps[~np.isfinite(series.values)] for series in losses.values()])
    )
    if len(steps) == 0:
        return []
    shown = _apart(steps, float(np.ptp(axes.get_xlim())) / _MOST_CROSSES)
    shape, colour = canvas.MARKERS[StopReason.NON_FINITE]
    axes.scatter(
        shown,
        np.full(len(shown), 0.965),
        transform=axes.get_xaxis_transform(),
        marker=shape,
        s=70,
        color=colour,
        edgecolors="white",
        linewidths=0.7,
        zorder=7,
        label="not finite",
    )
    text = f"not finite: {words.plural(len(steps), 'step')}"
    return [Line2D([], [], ls="", marker=shape, ms=8, color=colour, mec="white", label=text)]


def _apart(steps: Floats, least: float) -> list[float]:
    """Those steps that lie so far from the one before, so that marks at them stay apart."""
    shown: list[float] = []
    for step in steps:
        if not shown or step - shown[-1] >= least:
            shown.append(float(step))
    return shown


def _draw_last_good(axes: Axes, step: int | None, losses: dict[str, Series]) -> list[Line2D]:
    """A line at the step to go back to."""
    if step is None:
        return []
    style = {"color": canvas.GREEN, "linestyle": ":", "linewidth": 2.2}
    axes.axvline(step, zorder=2, **style)  # type: ignore[arg-type]
    return [Line2D([], [], label=f"last good: step {step}", **style)]  # type: ignore[arg-type]


def _finish(figure: Figure, bottom: Axes, handles: list[Line2D]) -> None:
    bottom.set_xlabel("steps")
    canvas.show_tokens(bottom.xaxis)
    canvas.legend_below(figure, handles, columns=5 if len(handles) <= 5 else 4)
