"""What each change of the best recipe does, both ways, beside PED-ANOVA's importance."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sweeper.reports import canvas, words
from sweeper.reports.ablation import by_gain, importance_of
from sweeper.search.results import StudyResults
from sweeper.search.verifying.ablation import Ablation, ChangeEffect, Shift, read_ablation

_SHIFT = 0.16  # of the two directions from the middle of their row
_FORMS = (("D", canvas.BLUE, "taken back from the best"), ("o", canvas.ORANGE, "made alone"))


def figure_ablation(results: StudyResults) -> Figure:
    """Build the figure: a row for each change, its effects on the left, importance on the right."""
    ablation = read_ablation(results.verification)
    if ablation is None:
        return canvas.empty_figure("There is no ablation, or it is not over.")
    changes = by_gain(ablation)
    figure = canvas.new_figure(2.0 + 0.62 * (len(changes) + 1))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    _draw_effects(left, ablation, changes)
    _draw_importances(right, [importance_of(results, change) for change in changes])
    names = [canvas.label(" with ".join(change.names).replace("_", " ")) for change in changes]
    left.set_yticks(range(len(changes) + 1), [*names, "all together"])
    left.set_ylim(len(changes) + 0.5, -0.6)
    handles = [
        Line2D([], [], marker=marker, color=colour, linewidth=2.4, label=text)
        for marker, colour, text in _FORMS
    ]
    canvas.legend_below(figure, handles)
    return figure


def _draw_effects(axes: Axes, ablation: Ablation, changes: Sequence[ChangeEffect]) -> None:
    axes.axvline(0, color=canvas.BLACK, linewidth=1.2)
    for row, change in enumerate(changes):
        for shift, side, (marker, colour, _) in zip(
            (change.without, change.only), (-_SHIFT, _SHIFT), _FORMS, strict=True
        ):
            _draw_shift(axes, row + side, shift, marker, colour)
    _draw_shift(axes, len(changes), ablation.whole, "s", canvas.BLACK)
    axes.axhline(len(changes) - 0.5, color=canvas.GREY, linewidth=0.8)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("loss with the change less loss without it (nats); left is better")
    axes.set_title(f"Effects on the same seeds, {words.level(ablation.level)} intervals")


def _draw_shift(axes: Axes, y: float, shift: Shift, marker: str, colour: str) -> None:
    effect = shift.effect
    if effect is not None:
        axes.plot([effect.low, effect.high], [y, y], color=colour, linewidth=2.4)
        axes.plot([effect.mean], [y], marker, color=colour, markersize=7)
        axes.annotate(
            words.nats_change(effect.mean),
            (1.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
        )
        return
    # Where its loss is infinite, a variant without the change speaks for it, one with it against.
    said, at, align = "not known", 0.99, "right"
    if shift.num_diverged:
        said = f"with it alone {shift.num_diverged} diverged"
        if marker == _FORMS[0][0]:
            said, at, align = f"without it {shift.num_diverged} diverged", 0.01, "left"
    place = ("axes fraction", "data")
    axes.annotate(said, (at, y), xycoords=place, ha=align, va="center", fontsize=8, color=colour)


def _draw_importances(axes: Axes, importances: Sequence[float | None]) -> None:
    """Bars on the rows of the changes; words where a change was not searched."""
    bars = axes.barh(
        range(len(importances)), [i or 0.0 for i in importances], color=canvas.SKY, height=0.5
    )
    said = ["not searched" if i is None else f"{i:.0%}" for i in importances]
    axes.bar_label(bars, labels=said, padding=4, fontsize=9)
    axes.set_xlim(0, 1.3 * max((i or 0.0 for i in importances), default=0.0) or 1.0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(visible=False, axis="y")
    axes.set_title("Importance")
    axes.set_xlabel("PED-ANOVA")
