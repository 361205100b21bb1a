"""What all figures share: size, palette, markers, ticks, limits and saving."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from matplotlib import rc_context, rcParamsDefault
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, NullFormatter

from sweeper.curves.finding import StopReason
from sweeper.reports import words
from sweeper.reports.files import replace_file

_Shown = TypeVar("_Shown")

WIDTH_IN = 10.0
DPI = 150
UNCROWDED = 300  # trials that a figure shows one by one
FONT = "DejaVu Sans"  # shipped with matplotlib, so figures look alike everywhere

# Okabe and Ito's palette: told apart with every common kind of colour blindness.
BLACK = "#000000"
BLUE = "#0072B2"
SKY = "#56B4E9"
GREEN = "#009E73"
ORANGE = "#E69F00"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#777777"

MARKERS: dict[StopReason | None, tuple[str, str]] = {
    StopReason.COMPLETED: ("o", BLUE),
    StopReason.SPIKE: ("*", VERMILLION),
    StopReason.NON_FINITE: ("X", BLACK),
    StopReason.PLATEAU: ("s", ORANGE),
    StopReason.PEERS: ("v", SKY),
    StopReason.OUT_OF_MEMORY: ("D", PURPLE),
    StopReason.PREEMPTED: ("<", GREY),
    StopReason.TIMEOUT: ("h", GREEN),
    StopReason.ERROR: ("P", VERMILLION),
    None: (">", GREY),
}

_STYLE = {
    **{key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")},
    "font.family": FONT,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "text.parse_math": False,
}


def save(build: Callable[[_Shown], Figure], shown: _Shown, path: Path) -> Path:
    """Build a figure of something and write its PNG."""
    return replace_file(path, draw(build, shown))


def draw(build: Callable[[_Shown], Figure], shown: _Shown) -> bytes:
    """Build a figure in the report's own style, whatever matplotlibrc says: its PNG."""
    buffer = io.BytesIO()
    with rc_context(_STYLE):
        figure = build(shown)
        for text in figure.findobj(Text):
            text.set_parse_math(False)
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def new_figure(height_in: float) -> Figure:
    """An empty figure of the report's width."""
    return Figure(figsize=(WIDTH_IN, height_in), layout="constrained", facecolor="white")


def empty_figure(message: str) -> Figure:
    """A low figure that says why there is nothing to draw."""
    figure = new_figure(1.6)
    figure.text(0.5, 0.5, message, ha="center", va="center", color="#444444", fontsize=12)
    return figure


def label(text: object, limit: int = 32) -> str:
    """A name from a user as the font can show it; a missing glyph becomes a box."""
    return "".join(c if ord(c) in _glyphs() else "\u25a1" for c in words.clean(text, limit))


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FONT)).get_charmap())


def marker_name(reason: StopReason | None) -> str:
    """The legend's word for a way to end."""
    return "running or waiting" if reason is None else words.stop_words(reason)


def marker_area(reason: StopReason | None) -> float:
    """A scatter's `s`, in points squared; a star is small for its size."""
    return 170.0 if reason is StopReason.SPIKE else 75.0


def crowding(amount: int) -> float:
    """A factor for the area of markers, so that thousands of trials do not hide each other."""
    return max(min(1.0, UNCROWDED / max(amount, 1)), 0.06)


def legend_marker(reason: StopReason | None, text: str, face: str | None = None) -> Line2D:
    """A legend's entry for a stop reason."""
    shape, colour = MARKERS[reason]
    return Line2D(
        [],
        [],
        linestyle="",
        marker=shape,
        markersize=0.93 * math.sqrt(marker_area(reason)),
        color=face or colour,
        markeredgecolor="white" if face is None else "#333333",
        label=text,
    )


def show_tokens(axis: Axis) -> None:
    """Tick labels such as `100k`."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: words.count(value)))


def show_plain(axis: Axis) -> None:
    """Tick labels without mathematics, for logarithmic axes."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plain_tick(float(value))))
    axis.set_minor_formatter(NullFormatter())


def _plain_tick(value: float) -> str:
    if value == 0 or 0.01 <= abs(value) < 10_000:
        return f"{value:g}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e+")


def legend_below(figure: Figure, handles: list[Line2D], columns: int = 4) -> None:
    """A legend under the panels, where it covers no data."""
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def finite(values: Iterable[float | None]) -> list[float]:
    """The values that can be drawn."""
    return [value for value in values if value is not None and math.isfinite(value)]


def loss_limits(starts: Iterable[float], values: Iterable[float]) -> tuple[float, float]:
    """Lower and upper limit of a loss axis that one spike cannot squash.

    The axis reaches from the lowest loss to a quarter of the range above where runs
    usually start, and to the upper quartile of all values if that is higher.

    Returns:
        Two finite numbers, the first below the second.
    """
    drawn = np.array(finite(values) or [0.0, 1.0])
    begin = finite(starts)
    top = max(float(np.median(begin)) if begin else -math.inf, float(np.quantile(drawn, 0.75)))
    low = float(drawn.min())
    span = max(top - low, 0.02 * abs(top), 1e-6)
    high = top + 0.25 * span
    if float(drawn.max()) < high:  # nothing to clip: close in on the data
        high = float(drawn.max()) + 0.06 * span
    return low - 0.06 * span, high


def halo() -> list[withStroke]:
    """A white rim that keeps a label readable over markers and lines."""
    return [withStroke(linewidth=3, foreground="white")]


def note(axes: Axes, text: str) -> None:
    """A remark in the middle of a panel that has nothing to show."""
    axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color="#555555",
        wrap=True,
    )
