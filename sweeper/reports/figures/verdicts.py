"""Every comparison with the baseline: the differences, their mean and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeper.reports import canvas, words
from sweeper.search.results import StudyResults
from sweeper.search.verifying.verdicts import Comparison, SeedNoise, Verdict, Verification

_COLOURS = {Verdict.SUPPORTED: canvas.BLUE, Verdict.REFUTED: canvas.VERMILLION}
_SHIFT = 0.17  # of the dots below the interval, in rows
_X_LABELS = {
    "val_loss": "loss less the baseline's on the same seed (nats); left is better",
    "speed": "tokens a second over the baseline's in the same turn; right is faster",
}


def figure_verdicts(results: StudyResults) -> Figure:
    """Build the figure: a row for each comparison, a panel for losses and one for speeds."""
    verification = results.verification
    panels = {} if verification is None else _panels(verification)
    if verification is None or not panels:
        return canvas.empty_figure("Nothing was trained on other seeds.")
    heights = [1.4 + 0.75 * len(shown) for shown in panels.values()]
    figure = canvas.new_figure(0.2 + sum(heights))
    all_axes = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (metric, shown) in zip(all_axes, panels.items(), strict=True):
        if metric == "val_loss" and verification.noise is not None:
            _draw_noise(axes, verification.noise)
        _draw_panel(axes, shown)
        axes.set_xlabel(_X_LABELS[metric])
    return figure


def _panels(verification: Verification) -> dict[str, list[Comparison]]:
    """What was measured, by what was measured of it."""
    panels: dict[str, list[Comparison]] = {}
    for metric in _X_LABELS:
        shown = [c for c in verification.comparisons if c.arm.metric == metric and c.pairs]
        if shown:
            panels[metric] = shown
    return panels


def _draw_panel(axes: Axes, shown: Sequence[Comparison]) -> None:
    is_speed = shown[0].arm.metric == "speed"
    axes.axvline(1 if is_speed else 0, color=canvas.BLACK, linewidth=1.2)
    for row, comparison in enumerate(shown):
        _draw_row(axes, row, comparison)
    axes.set_yticks(range(len(shown)), [_name(comparison) for comparison in shown])
    axes.set_ylim(len(shown) - 0.5, -0.6)
    axes.grid(axis="y", visible=False)


def _name(comparison: Comparison) -> str:
    hypothesis = comparison.arm.hypothesis
    place = comparison.arm.place or 1
    rank = "best" if place == 1 else f"number {place}"
    is_best = hypothesis is None
    name = f"{rank} (trial {comparison.arm.trial})" if is_best else canvas.label(hypothesis)
    return f"{name}\n{comparison.verdict.value}"


def _draw_noise(axes: Axes, noise: SeedNoise) -> None:
    """The band in which two runs of the baseline differ by their seeds alone."""
    axes.axvspan(-2 * noise.spread, 2 * noise.spread, color=canvas.BLACK, alpha=0.07, linewidth=0)
    axes.set_title(
        f"grey, however thin: twice the baseline's own spread over seeds, {noise.spread:.3f} nats",
        loc="right",
        fontsize=9,
    )


def _said(comparison: Comparison) -> str:
    """The mean and its interval, as effects near nothing cannot be read off the axis."""
    lines = []
    if effect := comparison.effect:
        is_speed = comparison.arm.metric == "speed"
        low, mean, high = (
            words.ratio(math.exp(value)) if is_speed else words.nats_change(value)
            for value in (effect.low, effect.mean, effect.high)
        )
        lines = [mean, f"{low} to {high}"]
    if comparison.num_diverged:
        lines.append(f"{comparison.num_diverged} diverged")
    return "\n".join(lines)


def _draw_row(axes: Axes, row: int, comparison: Comparison) -> None:
    colour = _COLOURS.get(comparison.verdict, canvas.BLACK)
    scale = np.exp if comparison.arm.metric == "speed" else np.asarray
    finite = scale([d for d in comparison.differences if math.isfinite(d)])
    axes.plot(
        finite, np.full(len(finite), row + _SHIFT), "o", color=colour, markersize=4, alpha=0.5
    )
    if said := _said(comparison):
        place = ("axes fraction", "data")
        axes.annotate(said, (1.01, row), xycoords=place, ha="left", va="center", fontsize=9)
    effect = comparison.effect
    if effect is not None:
        low, mean, high = scale([effect.low, effect.mean, effect.high])
        axes.plot([low, high], [row, row], color=colour, linewidth=2.6)
        axes.plot([mean], [row], "D", color=colour, markersize=7)
