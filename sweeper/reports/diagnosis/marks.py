"""How findings are marked in the figure: a colour and a lane each, above the loss."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from sweeper.curves import Finding, FindingKind
from sweeper.reports import canvas, words
from sweeper.reports.diagnosis import phrases

COLOURS: dict[FindingKind, str] = {
    FindingKind.SPIKE: canvas.VERMILLION,
    FindingKind.DIVERGENCE: canvas.PURPLE,
    FindingKind.NON_FINITE: canvas.BLACK,
    FindingKind.PLATEAU: canvas.ORANGE,
    FindingKind.OVERFIT: canvas.PURPLE,
    FindingKind.THROUGHPUT_DROP: canvas.GREY,
    FindingKind.NEVER_LEARNED: canvas.ORANGE,
    FindingKind.WEIGHTS_NOT_UPDATING: canvas.GREY,
    FindingKind.EVAL_NOT_TRACKING: canvas.GREY,
}
# Speed is no property of the loss: its drops are shaded in their own panel.
ON_LOSS = tuple(kind for kind in FindingKind if kind is not FindingKind.THROUGHPUT_DROP)
# Of these, points stand apart: each is drawn half-way to its neighbours. The others are stretches
# that begin and end at their own points.
_OF_POINTS = frozenset({FindingKind.SPIKE, FindingKind.DIVERGENCE, FindingKind.NON_FINITE})
_MOST_LABELS = 3
_LEAST_SHARE = 0.004  # of the axis; a narrower bar would vanish


@dataclass(frozen=True)
class Extent:
    """Where a finding is drawn, in steps."""

    start: float
    end: float

    @property
    def middle(self) -> float:
        """Its centre."""
        return (self.start + self.end) / 2


def extent_of(finding: Finding, steps: Sequence[int]) -> Extent:
    """A finding's extent among the steps that were logged.

    Args:
        finding: Its ends need not be among the steps.
        steps: Ascending.
    """
    before = bisect_left(steps, finding.start_step)
    after = bisect_right(steps, finding.end_step)
    start, end = float(finding.start_step), float(finding.end_step)
    stands_apart = finding.kind in _OF_POINTS
    if before > 0 and stands_apart:
        start -= (start - steps[before - 1]) / 2
    if after < len(steps) and stands_apart:
        end += (steps[after] - end) / 2
    least = _LEAST_SHARE * (steps[-1] - steps[0]) if steps else 0.0
    short = max(least - (end - start), 0.0) / 2
    return Extent(start - short, end + short)


def draw_lanes(axes: Axes, findings: Sequence[Finding], steps: Sequence[int]) -> None:
    """One lane per kind, a bar per finding; the largest of each kind with their size."""
    kinds = kinds_of(findings)
    axes.set_ylim(len(kinds) - 0.45, -0.55)
    axes.set_yticks(range(len(kinds)), [_lane_name(kind, findings) for kind in kinds])
    axes.tick_params(axis="both", length=0, labelbottom=False)
    axes.grid(visible=False, axis="y")
    axes.spines[:].set_visible(False)
    for lane, kind in enumerate(kinds):
        own = [finding for finding in findings if finding.kind is kind]
        for finding in own:
            extent = extent_of(finding, steps)
            axes.barh(
                lane,
                extent.end - extent.start,
                left=extent.start,
                height=0.56,
                color=COLOURS[kind],
                label=kind.value,
                zorder=3,
            )
        largest = sorted(own, key=lambda finding: -finding.severity)[:_MOST_LABELS]
        _label_lane(axes, lane, [(extent_of(f, steps), _bar_words(f)) for f in largest])


def kinds_of(findings: Sequence[Finding]) -> tuple[FindingKind, ...]:
    """The kinds that were found, in their own order."""
    return tuple(kind for kind in FindingKind if any(f.kind is kind for f in findings))


def _lane_name(kind: FindingKind, findings: Sequence[Finding]) -> str:
    amount = sum(finding.kind is kind for finding in findings)
    name = phrases.kind_words(kind)
    return name if amount == 1 else f"{name} ({amount})"


def _bar_words(finding: Finding) -> str:
    """A finding's size and ending, as short as can be."""
    size = phrases.size_words(finding)
    ending = "recovered" if finding.recovered else ""
    return ", ".join(part for part in (size, ending) if part and part != words.ABSENT)


def _label_lane(axes: Axes, lane: int, labels: Sequence[tuple[Extent, str]]) -> None:
    """Words beside their bars, on the side that has room; those that would collide are left out."""
    low, high = axes.get_xlim()
    taken: list[tuple[float, float]] = []
    for extent, text in labels:
        width = 0.0088 * len(text) * (high - low) + 0.01 * (high - low)
        on_left = extent.end + width > high
        place = (
            (extent.start - width, extent.start) if on_left else (extent.end, extent.end + width)
        )
        is_inside = on_left and place[0] < low
        if is_inside:
            place = (extent.start, extent.end)
        if not text or any(place[0] < end and start < place[1] for start, end in taken):
            continue
        taken.append(place)
        axes.annotate(
            text,
            (extent.middle if is_inside else extent.start if on_left else extent.end, lane),
            xytext=(0 if is_inside else -5 if on_left else 5, 0),
            textcoords="offset points",
            ha="center" if is_inside else "right" if on_left else "left",
            va="center",
            fontsize=9,
            color="#222222",
            zorder=5,
            path_effects=canvas.halo(),
        )


def shade(axes: Axes, findings: Sequence[Finding], steps: Sequence[int]) -> None:
    """The findings' extents as bands behind a panel's lines."""
    opacity = 0.14 if len(findings) <= 12 else 0.09
    for finding in findings:
        extent = extent_of(finding, steps)
        axes.axvspan(
            extent.start,
            extent.end,
            facecolor=COLOURS[finding.kind],
            alpha=opacity,
            linewidth=0,
            zorder=0,
        )
