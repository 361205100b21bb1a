"""The report's figure: seconds of every arm above, ratios with floor and aim below."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeper.reports import canvas
from tests.benchmarks.verdicts import Content, Verdict, seconds_of

_COLORS = {
    "B0": canvas.GREY,
    "B1": canvas.ORANGE,
    "ours": canvas.BLUE,
    "ours, fp32": canvas.SKY,
}
_LINE_IN = 0.4


def figure_arms(shown: tuple[Mapping[str, Content], Sequence[Verdict]]) -> Figure:
    """Build the figure of the measured sizes and of the ratios among the verdicts."""
    sizes, found = shown
    ratios = [v for v in found if v.unit == "x" and v.value is not None]
    bars = max(len(part["runs"]) for part in sizes.values())
    heights = [0.6 + _LINE_IN * bars, 0.6 + _LINE_IN * max(len(ratios), 1)]
    figure = Figure(figsize=(canvas.WIDTH_IN, sum(heights) + 0.9), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    for axes, (name, part) in zip(
        above.subplots(1, len(sizes), squeeze=False)[0], sizes.items(), strict=True
    ):
        _draw_arms(axes, name, part)
    _draw_ratios(below.subplots(), ratios)
    return figure


def _draw_arms(axes: Axes, name: str, part: Content) -> None:
    arms = list(part["runs"])[::-1]
    walls = [seconds_of(part, arm, "net_s") for arm in arms]
    middles = [statistics.median(wall) for wall in walls]
    errors = [
        [middle - min(wall) for middle, wall in zip(middles, walls, strict=True)],
        [max(wall) - middle for middle, wall in zip(middles, walls, strict=True)],
    ]
    axes.barh(
        arms, middles, xerr=errors, color=[_COLORS[arm] for arm in arms], height=0.65, capsize=3
    )
    for place, wall in enumerate(walls):
        axes.annotate(
            f"{middles[place]:.1f}",
            (max(wall), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xlim(0, 1.3 * max(map(max, walls)))
    axes.grid(visible=False, axis="y")
    axes.set_title(f"{name}: wall s")


def _draw_ratios(axes: Axes, ratios: Sequence[Verdict]) -> None:
    shown = ratios[::-1]
    values = [verdict.value or 0.0 for verdict in shown]
    colors = [_color(verdict) for verdict in shown]
    axes.barh(range(len(shown)), values, color=colors, height=0.6)
    for place, verdict in enumerate(shown):
        for mark, style in ((verdict.floor, "-"), (verdict.aim, ":")):
            axes.plot([mark, mark], [place - 0.42, place + 0.42], style, color=canvas.BLACK)
        axes.annotate(
            f"{values[place]:.2f}x",
            (max(values[place], verdict.aim), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(shown)), [verdict.what for verdict in shown])
    axes.set_xlim(0, 1.15 * max([*values, *(verdict.aim for verdict in shown), 1.0]))
    axes.grid(visible=False, axis="y")
    axes.set_title("Ratios; line: floor, dotted: aim, grey: not decided on this machine")


def _color(verdict: Verdict) -> str:
    if verdict.undecided:
        return canvas.GREY
    return canvas.VERMILLION if verdict.word == "MISSED" else canvas.GREEN
