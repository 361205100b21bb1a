"""Every comparison on its own seeds: the differences, their mean and its interval."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeper.reports import canvas
from sweeper.search.results import StudyResults
from sweeper.search.verdicts import Comparison, Verdict, Verification

_COLOURS = {Verdict.SUPPORTED: canvas.BLUE, Verdict.REFUTED: canvas.VERMILLION}
_SHIFT = 0.17  # of the seeds' dots below the interval, in rows


def figure_verdicts(results: StudyResults) -> Figure:
    """Build the figure: one row for each comparison, zero is the baseline on the same seed."""
    verification = results.verification
    shown = [] if verification is None else [c for c in verification.comparisons if c.differences]
    if verification is None or not shown:
        return canvas.empty_figure("Nothing was trained on other seeds.")
    figure = canvas.new_figure(1.6 + 0.75 * len(shown))
    axes = figure.subplots()
    _draw_noise(axes, verification)
    axes.axvline(0, color=canvas.BLACK, linewidth=1.2)
    for row, comparison in enumerate(shown):
        _draw_row(axes, row, comparison)
    axes.set_yticks(range(len(shown)), [_name(comparison) for comparison in shown])
    axes.set_ylim(len(shown) - 0.5, -0.6)
    axes.set_xlabel("validation loss less the baseline's on the same seed (nats); left is better")
    axes.grid(axis="y", visible=False)
    return figure


def _name(comparison: Comparison) -> str:
    hypothesis = comparison.arm.hypothesis
    is_best = hypothesis is None
    name = f"best (trial {comparison.arm.trial})" if is_best else canvas.label(hypothesis)
    return f"{name}\n{comparison.verdict.value}"


def _draw_noise(axes: Axes, verification: Verification) -> None:
    """The band in which two runs of the baseline differ by their seeds alone."""
    if verification.noise is None:
        return
    half = 2 * verification.noise.spread
    axes.axvspan(-half, half, color=canvas.BLACK, alpha=0.07, linewidth=0)
    axes.text(
        0.995,
        0.015,
        "grey: twice the spread of the baseline over seeds",
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=8,
    )


def _draw_row(axes: Axes, row: int, comparison: Comparison) -> None:
    colour = _COLOURS.get(comparison.verdict, canvas.BLACK)
    finite = np.array([d for d in comparison.differences if math.isfinite(d)])
    axes.plot(
        finite, np.full(len(finite), row + _SHIFT), "o", color=colour, markersize=4, alpha=0.5
    )
    if comparison.num_diverged:
        axes.annotate(
            f"{comparison.num_diverged} diverged",
            (1.0, row),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            fontsize=8,
        )
    effect = comparison.effect
    if effect is not None:
        axes.plot([effect.low, effect.high], [row, row], color=colour, linewidth=2.6)
        axes.plot([effect.mean], [row], "D", color=colour, markersize=7)
