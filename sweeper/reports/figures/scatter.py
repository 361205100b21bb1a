"""Every trial in the plane of learning rate and effective batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator
from numpy.typing import NDArray

from sweeper.curves.finding import StopReason
from sweeper.reports import canvas
from sweeper.search.results import StudyResults, TrialResult

_GOLDEN = 0.6180339887498949
_RING_POINTS = 13.0  # from a ring's middle to its name
_NAME_POINTS = (38.0, 14.0)  # half its width, its height


@dataclass(frozen=True)
class _Place:
    """A trial with its place in the plane of learning rate and effective batch (log2)."""

    trial: TrialResult
    learning_rate: float
    batch_log2: float


def figure_learning_rate_batch(results: StudyResults) -> Figure:
    """Build the figure: colour is the final validation loss, the marker how the trial ended."""
    places = [place for trial in results.trials if (place := _place(trial))]
    if not places:
        return canvas.empty_figure("No trial with a learning rate and a batch size yet.")
    figure = canvas.new_figure(6.0)
    axes = figure.add_subplot()
    axes.set_title("Learning rate and effective batch; colour is the last validation loss")
    norm = _loss_norm(results, places)
    area = 1.3 * canvas.crowding(len(places))
    for reason in MARKER_ORDER:
        _draw_reason(axes, [p for p in places if p.trial.stop_reason is reason], norm, area)
    _show_axes(axes, places)
    _ring(axes, results, places)
    if norm is not None:
        scale = matplotlib.cm.ScalarMappable(norm=norm, cmap="viridis")
        figure.colorbar(scale, ax=axes, extend="max", label="validation loss (nats), clipped")
    canvas.legend_below(figure, _reason_handles(places) + _unplaced(results, places), columns=5)
    return figure


MARKER_ORDER: tuple[StopReason | None, ...] = (None, *reversed(StopReason))


def _place(trial: TrialResult) -> _Place | None:
    rate = _positive(trial.hyperparameters, "learning_rate")
    batch = _positive(trial.hyperparameters, "batch_size")
    accumulation = _positive(trial.hyperparameters, "accumulation", 1.0)
    if rate is None or batch is None or accumulation is None:
        return None
    return _Place(trial, rate, math.log2(batch * accumulation) + jitter(trial.number))


def _positive(
    values: Mapping[str, object], name: str, otherwise: float | None = None
) -> float | None:
    value = values.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def jitter(number: int) -> float:
    """A shift within a fifth of a doubling either way, the same every time for a trial."""
    return 0.4 * ((number * _GOLDEN) % 1.0 - 0.5)


def _loss_norm(results: StudyResults, places: list[_Place]) -> Normalize | None:
    """Colours from the lowest loss up to where runs start, so that a spike is just 'high'."""
    losses = canvas.finite(place.trial.val_loss for place in places)
    if not losses:
        return None
    starts = [values[0] for trial in results.trials if (values := _evaluations(trial))]
    low = min(losses)
    high = float(np.median(starts)) if starts else max(losses)
    return Normalize(low, max(min(high, max(losses)), low + 0.01), clip=True)


def _evaluations(trial: TrialResult) -> list[float]:
    return canvas.finite(point.val_loss for point in trial.curve)


def _draw_reason(axes: Axes, places: list[_Place], norm: Normalize | None, area: float) -> None:
    """Markers of one way to end; a trial without a finite loss stays white."""
    if not places:
        return
    reason = places[0].trial.stop_reason
    axes.scatter(
        [place.learning_rate for place in places],
        [place.batch_log2 for place in places],
        marker=canvas.MARKERS[reason][0],
        s=area * canvas.marker_area(reason),
        color=_colours([place.trial.val_loss for place in places], norm),
        edgecolors="#333333",
        linewidths=min(0.8, area),
        zorder=3,
        alpha=0.9,
        label="running" if reason is None else reason.value,
    )


def _colours(losses: list[float | None], norm: Normalize | None) -> NDArray[np.float64]:
    """Red, green, blue and opacity of each; white where there is no loss to show."""
    values = np.array([math.nan if loss is None else loss for loss in losses])
    known = np.isfinite(values)
    colours = np.ones((len(values), 4))
    if norm is not None and known.any():
        colours[known] = matplotlib.colormaps["viridis"](norm(values[known]))
    return colours


def _ring(axes: Axes, results: StudyResults, places: list[_Place]) -> None:
    """Rings and names for the baseline and the best trial."""
    for trial, name, colour, usual_side in (
        (results.baseline, "baseline", canvas.BLACK, 1),
        (results.best, "best", canvas.VERMILLION, -1),
    ):
        place = next((place for place in places if place.trial is trial), None)
        if place is None or trial is None or (name == "best" and trial.is_baseline):
            continue
        name = "baseline, also the best" if trial is results.best and trial.is_baseline else name
        at = (place.learning_rate, place.batch_log2)
        axes.scatter(
            [at[0]],
            [at[1]],
            s=330,
            facecolors="none",
            edgecolors=colour,
            linewidths=2.2,
            zorder=4,
            label=name,
        )
        side = _free_side(axes, place, places, usual_side)
        axes.annotate(
            name,
            at,
            xytext=(0, side * _RING_POINTS),
            textcoords="offset points",
            ha="center",
            va="bottom" if side > 0 else "top",
            color=colour,
            fontweight="bold",
            zorder=5,
            path_effects=canvas.halo(),
        )


def _free_side(axes: Axes, place: _Place, places: list[_Place], usual: int) -> int:
    """Above (1) or below (-1) a ring: where a name hides fewer dots, else as usual."""
    at = axes.transData.transform([(p.learning_rate, p.batch_log2) for p in [place, *places]])
    across, up = ((at[1:] - at[0]) * 72 / axes.figure.dpi).T  # points of print

    def hidden(side: int) -> int:
        height = side * up - _RING_POINTS
        near = (np.abs(across) < _NAME_POINTS[0]) & (abs(height - _NAME_POINTS[1] / 2) < 12)
        return int(near.sum())

    return min((usual, -usual), key=hidden)


def _show_axes(axes: Axes, places: list[_Place]) -> None:
    axes.set_xscale("log")
    rates = [place.learning_rate for place in places]
    margin = 2 if max(rates) > 25 * min(rates) else 10  # two labelled decades at least
    axes.set_xlim(min(rates) / margin, max(rates) * margin)
    axes.xaxis.set_major_locator(LogLocator(numticks=10))
    canvas.show_plain(axes.xaxis)
    heights = [place.batch_log2 for place in places]
    axes.set_ylim(min(heights) - 0.6, max(heights) + 0.6)
    axes.yaxis.set_major_locator(MultipleLocator(1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{2**value:g}"))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("effective batch (blocks per optimizer step)")


def _reason_handles(places: list[_Place]) -> list[Line2D]:
    handles = []
    for reason in reversed(MARKER_ORDER):
        amount = sum(place.trial.stop_reason is reason for place in places)
        if amount:
            text = f"{canvas.marker_name(reason)}: {amount:,}"
            handles.append(canvas.legend_marker(reason, text, face="#bbbbbb"))
    return handles


def _unplaced(results: StudyResults, places: list[_Place]) -> list[Line2D]:
    missing = len(results.trials) - len(places)
    if not missing:
        return []
    text = f"not drawn (no learning rate or batch size): {missing:,}"
    return [Line2D([], [], linestyle="", label=text)]
