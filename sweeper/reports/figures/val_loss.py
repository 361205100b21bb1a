"""Validation loss over tokens for every trial."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from sweeper.curves.curve import Curve, Point
from sweeper.curves.finding import StopReason
from sweeper.reports import canvas, words
from sweeper.search.results import StudyResults, TrialResult

_KINDS: tuple[tuple[str, str, str, Callable[[TrialResult], bool]], ...] = (
    ("completed", "-", canvas.SKY, lambda trial: trial.completed),
    ("running or waiting", ":", canvas.GREY, lambda trial: trial.stop_reason is None),
    ("stopped early", "--", canvas.ORANGE, lambda trial: trial.stop_reason is not None),
)
_LOSSES = (("train_loss", "train loss", "--", "."), ("val_loss", "val loss", "-", "o"))


def figure_val_loss(results: StudyResults) -> Figure:
    """Build the figure: trials on the left, the recorded baseline's log, if any, on the right."""
    recorded = results.recorded if results.recorded and len(results.recorded) else None
    drawn = [trial for trial in results.trials if _evaluated(trial)]
    if not drawn and recorded is None:
        return canvas.empty_figure("No trial has been evaluated yet.")
    figure = canvas.new_figure(6.2)
    grid = figure.add_gridspec(1, 2 if recorded else 1, width_ratios=[2.6, 1] if recorded else None)
    axes = figure.add_subplot(grid[0, 0])
    handles = _draw_trials(axes, results, drawn)
    if recorded is not None:
        _draw_recorded(figure.add_subplot(grid[0, 1]), recorded)
    canvas.legend_below(figure, handles)
    return figure


def _evaluated(trial: TrialResult) -> bool:
    return bool(canvas.finite(point.val_loss for point in trial.curve))


def _draw_trials(axes: Axes, results: StudyResults, drawn: list[TrialResult]) -> list[Line2D]:
    judge = "one validation set" if results.spec.command is None else "as the command evaluates it"
    axes.set_title(f"Every trial, equal tokens, {judge}")
    axes.set_xlabel("tokens seen")
    axes.set_ylabel("validation loss (nats per token)")
    canvas.show_tokens(axes.xaxis)
    if not drawn:
        canvas.note(axes, "No trial has been evaluated yet.")
        return []
    low, high = _limits(drawn)
    axes.set_ylim(low, high)
    # Room on the right for the two labels at the ends of their lines.
    axes.set_xlim(
        0, (1.22 if results.recorded else 1.16) * max(_last_tokens(trial) for trial in drawn) + 1
    )
    handles = _draw_thin(axes, results, drawn)
    handles = _draw_named(axes, results) + handles
    handles += _draw_stops(axes, results)
    return handles + _draw_clipped(axes, drawn, high)


def _limits(drawn: list[TrialResult]) -> tuple[float, float]:
    losses = [canvas.finite(point.val_loss for point in trial.curve) for trial in drawn]
    return canvas.loss_limits(
        [values[0] for values in losses], [value for values in losses for value in values]
    )


def _last_tokens(trial: TrialResult) -> int:
    return max([trial.tokens, *(point.tokens for point in trial.curve)])


def _series(curve: Curve) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Tokens and validation losses; gaps where a loss is not finite."""
    tokens, losses = curve.series("val_loss")
    return tokens, np.where(np.isfinite(losses), losses, np.nan)


def _draw_thin(axes: Axes, results: StudyResults, drawn: list[TrialResult]) -> list[Line2D]:
    named = {trial.number for trial in (results.baseline, results.best) if trial is not None}
    others = [trial for trial in drawn if trial.number not in named]
    opacity = min(0.9, max(0.15, 12 / math.sqrt(max(len(others), 1)) / 3))
    kinds = [(trial, *next(row for row in _KINDS if row[3](trial))[:3]) for trial in others]
    counts = Counter(kind for _, kind, _, _ in kinds)
    is_crowded = len(others) > canvas.UNCROWDED
    if is_crowded:
        _draw_crowd(axes, kinds)
        kinds = []
    for trial, _, dashes, colour in kinds:
        axes.plot(
            *_series(trial.curve),
            dashes,
            color=colour,
            linewidth=1.1,
            alpha=opacity,
            zorder=2,
            marker="." if len(trial.curve.evaluations()) == 1 else None,
        )
    return [
        Line2D(
            [],
            [],
            linestyle="-" if is_crowded else dashes,
            color=colour,
            label=f"{kind}: {counts[kind]:,}",
        )
        for kind, dashes, colour, _ in _KINDS
        if counts[kind]
    ]


def _draw_crowd(axes: Axes, kinds: list[tuple[TrialResult, str, str, str]]) -> None:
    """Thousands of curves: so faint that their number shows, those that completed above."""
    opacity = max(0.04, 12 / len(kinds))
    for kind, _, colour, _ in reversed(_KINDS):
        curves = [np.column_stack(_series(t.curve)) for t, k, _, _ in kinds if k == kind]
        axes.add_collection(
            LineCollection(curves, colors=colour, linewidths=0.8, alpha=opacity, zorder=2),
            autolim=False,
        )


def _draw_named(axes: Axes, results: StudyResults) -> list[Line2D]:
    """Baseline and best as thick lines, each labelled at its end."""
    best, baseline = results.best, results.baseline
    handles = []
    if baseline is not None and _evaluated(baseline):
        name = "baseline, also the best" if baseline is best else "baseline"
        handles.append(_draw_thick(axes, baseline, canvas.BLACK, name))
        _label_end(axes, baseline, "baseline", canvas.BLACK, _shift(axes, baseline, best))
    if best is not None and best is not baseline and _evaluated(best):
        handles.append(_draw_thick(axes, best, canvas.BLUE, f"best: trial {best.number}"))
        _label_end(axes, best, "best", canvas.BLUE, _shift(axes, best, baseline))
    return handles


def _draw_thick(axes: Axes, trial: TrialResult, colour: str, name: str) -> Line2D:
    (line,) = axes.plot(
        *_series(trial.curve),
        color=colour,
        linewidth=2.8,
        marker="o",
        markersize=4,
        label=name,
        zorder=5,
    )
    assert isinstance(line, Line2D)
    return line


def _end(axes: Axes, trial: TrialResult) -> tuple[float, float]:
    """Tokens and validation loss at the end of a curve, inside the picture."""
    tokens, losses = _series(trial.curve)
    last = int(np.flatnonzero(np.isfinite(losses))[-1])
    return float(tokens[last]), min(float(losses[last]), float(axes.get_ylim()[1]))


def _shift(axes: Axes, trial: TrialResult, other: TrialResult | None) -> float:
    """Points by which to move a label up, so that two labels at nearly one height part."""
    if other is None or other is trial or not _evaluated(other):
        return 0.0
    low, high = axes.get_ylim()
    apart = _end(axes, trial)[1] - _end(axes, other)[1]
    if abs(apart) > 0.06 * (high - low):
        return 0.0
    above = apart > 0 or (apart == 0 and trial.is_baseline)
    return 9.0 if above else -9.0


def _label_end(axes: Axes, trial: TrialResult, name: str, colour: str, shift: float) -> None:
    loss = canvas.finite(point.val_loss for point in trial.curve)[-1]
    axes.annotate(
        f"{name} {words.nats(loss)}",
        _end(axes, trial),
        xytext=(8, shift),
        textcoords="offset points",
        va="center",
        color=colour,
        fontweight="bold",
        zorder=8,
        path_effects=canvas.halo(),
    )


def _draw_stops(axes: Axes, results: StudyResults) -> list[Line2D]:
    """A marker where each trial that did not complete was stopped."""
    low, high = axes.get_ylim()
    crowding = canvas.crowding(len(results.trials))
    top = high - 0.06 * (high - low)  # below the arrows of curves that leave the picture
    handles = []
    for reason in StopReason:
        stopped = [trial for trial in results.trials if trial.stop_reason is reason]
        if reason is StopReason.COMPLETED or not stopped:
            continue
        shape, colour = canvas.MARKERS[reason]
        axes.scatter(
            [_last_tokens(trial) for trial in stopped],
            [min(max(_last_loss(trial, top), low), top) for trial in stopped],
            marker=shape,
            s=crowding * canvas.marker_area(reason),
            color=colour,
            edgecolors="white",
            linewidths=0.7 * crowding,
            zorder=6,
            clip_on=False,
            label=reason.value,
        )
        text = f"{words.stop_words(reason)}: {len(stopped):,}"
        handles.append(canvas.legend_marker(reason, text))
    return handles


def _last_loss(trial: TrialResult, otherwise: float) -> float:
    """The last finite validation loss, else train loss: where the eye looks for the end."""
    for name in ("val_loss", "train_loss"):
        values = canvas.finite(getattr(point, name) for point in trial.curve)
        if values:
            return values[-1]
    return otherwise


def _draw_clipped(axes: Axes, drawn: list[TrialResult], high: float) -> list[Line2D]:
    """An arrow at the upper border for every stretch of a curve that lies above it."""
    places = [tokens for trial in drawn for tokens in _excursions(trial.curve.evaluations(), high)]
    if not places:
        return []
    axes.scatter(
        places,
        [0.985] * len(places),
        transform=axes.get_xaxis_transform(),
        marker="^",
        s=34 * canvas.crowding(len(places)),
        facecolors="none",
        edgecolors=canvas.VERMILLION,
        zorder=7,
        label="above the border",
    )
    return [
        Line2D(
            [],
            [],
            linestyle="",
            marker="^",
            markerfacecolor="none",
            markeredgecolor=canvas.VERMILLION,
            label=f"goes above the border: {len(places):,}",
        )
    ]


def _excursions(points: Iterable[Point], high: float) -> list[int]:
    """Tokens at which a curve first lies above a limit, once per stretch."""
    places, outside = [], False
    for point in points:
        above = (
            point.val_loss is not None and math.isfinite(point.val_loss) and point.val_loss > high
        )
        if above and not outside:
            places.append(point.tokens)
        outside = above
    return places


def _draw_recorded(axes: Axes, recorded: Curve) -> None:
    """The recorded log over steps: its tokens and its loss compare with nothing else here."""
    axes.set_title("The recorded baseline\n(a run from elsewhere)")
    axes.set_xlabel("steps")
    axes.set_ylabel("loss: solid validation, dashed train")
    for name, text, dashes, marker in _LOSSES:
        pairs = [(p.step, getattr(p, name)) for p in recorded if getattr(p, name) is not None]
        pairs = [(step, loss) for step, loss in pairs if math.isfinite(loss)]
        if pairs:
            axes.plot(
                *zip(*pairs, strict=True), dashes, marker=marker, color=canvas.BLACK, label=text
            )
    canvas.show_tokens(axes.xaxis)
    if not axes.lines:
        canvas.note(axes, "Nothing finite was recorded.")
