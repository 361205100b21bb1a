"""Training speed of every trial, by block size."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sweeper.reports import canvas, words
from sweeper.reports.figures.scatter import jitter
from sweeper.search.results import StudyResults, TrialResult

_MOST_BATCHES = 6
_AREA = 58.0  # of a marker, in points squared


def figure_throughput(results: StudyResults) -> Figure:
    """Build the figure: one column per block size, one dot per trial, a bar at the median."""
    measured = [trial for trial in results.trials if _speed(trial) is not None]
    if not measured:
        return canvas.empty_figure("No trial has trained long enough to measure its speed.")
    figure = canvas.new_figure(5.2)
    axes = figure.add_subplot()
    evaluation = "left out" if results.spec.command is None else "included"
    axes.set_title(f"Training speed by block size (evaluation {evaluation})")
    columns: dict[str, list[TrialResult]] = defaultdict(list)
    for trial in measured:
        columns[_block(trial)].append(trial)
    columns = {block: columns[block] for block in sorted(columns, key=_numeric)}
    colours = _batch_colours(measured)
    area = _AREA * canvas.crowding(len(measured))
    _show_columns(axes, columns, measured)
    baseline = _draw_baseline_speed(axes, results)
    for column, trials in enumerate(columns.values()):
        _draw_column(axes, column, trials, colours, area, baseline)
    canvas.legend_below(figure, _speed_handles(axes, colours))
    return figure


def _speed(trial: TrialResult) -> float | None:
    speed = trial.tokens_per_s
    return speed if speed is not None and math.isfinite(speed) and speed > 0 else None


def _block(trial: TrialResult) -> str:
    return canvas.label(words.value_words(trial.hyperparameters.get("block_size", "unknown")), 12)


def _numeric(text: str) -> tuple[bool, float, str]:
    """Sorts numbers by size, before anything else."""
    return (not text.isdigit(), float(text) if text.isdigit() else 0.0, text)


def _batch_colours(measured: list[TrialResult]) -> dict[str, tuple[float, ...]]:
    """A shade per micro-batch size, dark for small; nothing where there are too many."""
    sizes = sorted({_micro_batch(trial) for trial in measured}, key=_numeric)
    if not 1 < len(sizes) <= _MOST_BATCHES:
        return {}
    shades = np.linspace(0.0, 0.92, len(sizes))
    return {s: matplotlib.colormaps["viridis"](x) for s, x in zip(sizes, shades, strict=True)}


def _micro_batch(trial: TrialResult) -> str:
    return canvas.label(words.value_words(trial.hyperparameters.get("batch_size", "unknown")), 12)


def _draw_column(
    axes: Axes,
    column: int,
    trials: list[TrialResult],
    colours: dict[str, tuple[float, ...]],
    area: float,
    baseline: float | None,
) -> None:
    speeds = canvas.finite(_speed(trial) for trial in trials)
    axes.scatter(
        [column + jitter(trial.number) * 1.2 for trial in trials],
        speeds,
        s=area,
        zorder=3,
        c=[colours.get(_micro_batch(trial), canvas.BLUE) for trial in trials],
        edgecolors="#333333",
        linewidths=min(0.6, area / 20),
        alpha=0.9,
    )
    if len(speeds) < 2:
        return
    median = float(np.median(speeds))
    axes.hlines(
        median,
        column - 0.36,
        column + 0.36,
        color=canvas.VERMILLION,
        linewidth=2.2,
        zorder=2 if area == _AREA else 4,  # a crowd would hide it
    )
    axes.annotate(
        words.count(median),
        (column + 0.37, median),
        va=_beside_line(axes, median, baseline),
        color=canvas.VERMILLION,
        xytext=(3, 0),
        textcoords="offset points",
        path_effects=canvas.halo(),
    )


def _beside_line(axes: Axes, median: float, baseline: float | None) -> str:
    """How a median's number stands: at its height, or off the baseline's line where that is."""
    if baseline is None or abs(median - baseline) > 0.04 * axes.get_ylim()[1]:
        return "center"
    return "bottom" if median >= baseline else "top"


def _draw_baseline_speed(axes: Axes, results: StudyResults) -> float | None:
    """Where the line is, if there is one."""
    speed = None if results.baseline is None else _speed(results.baseline)
    if speed is not None:
        text = f"baseline: {words.count(speed)} tokens/s"
        axes.axhline(speed, color=canvas.BLACK, linestyle="--", linewidth=1.8, label=text)
    return speed


def _show_columns(
    axes: Axes, columns: Mapping[str, list[TrialResult]], measured: list[TrialResult]
) -> None:
    names = [f"{block}\n{words.plural(len(ts), 'trial')}" for block, ts in columns.items()]
    axes.set_xticks(range(len(columns)), names)
    axes.set_xlim(-0.7, len(columns) - 0.3)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("block size (tokens)")
    axes.set_ylabel("tokens per second")
    axes.set_ylim(0, 1.1 * max(canvas.finite(_speed(trial) for trial in measured)))
    canvas.show_tokens(axes.yaxis)


def _speed_handles(axes: Axes, colours: dict[str, tuple[float, ...]]) -> list[Line2D]:
    handles = [line for line in axes.lines if line.get_linestyle() == "--"]
    if len(axes.collections) > len(axes.get_xticks()):  # some column has a bar beside its dots
        handles.append(Line2D([], [], color=canvas.VERMILLION, linewidth=2.2, label="median"))
    for size, colour in colours.items():
        handles.append(
            Line2D(
                [],
                [],
                linestyle="",
                marker="o",
                markersize=7,
                color=colour,
                markeredgecolor="#333333",
                label=f"micro-batch {size}",
            )
        )
    return handles
