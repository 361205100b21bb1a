"""The figure of a diagnosis: what is in it, and that no log makes it fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from sweeper.curves import Curve, Finding, FindingKind, Point
from sweeper.diagnosis.case import RunConfig
from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.reports import canvas
from sweeper.reports.diagnosis.figure import figure_diagnosis
from sweeper.reports.diagnosis.marks import extent_of
from sweeper.reports.diagnosis.series import Series, band
from sweeper.reports.words import TIMES

from ..fakes import HOSTILE, wobble
from . import fakes


def with_curve(points: tuple[Point, ...], *findings: Finding) -> Diagnosis:
    calm = fakes.healthy()
    log = replace(calm.case.log, curve=Curve(points))
    return replace(calm, case=replace(calm.case, log=log, findings=findings))


def long_run(num_points: int) -> Diagnosis:
    """A noisy run with one point of 9 nats in its middle."""
    points = tuple(
        Point(step, 0, 9.0 if step == num_points // 2 else 4 + 0.1 * wobble(step))
        for step in range(num_points)
    )
    middle = num_points // 2
    return with_curve(points, Finding(FindingKind.SPIKE, middle, middle, 5.0, True, "a jump"))


def one_of_each() -> Diagnosis:
    findings = tuple(Finding(kind, 200, 500, 0.5, None, "x") for kind in FindingKind)
    calm = fakes.full()
    return replace(calm, case=replace(calm.case, findings=findings))


def many_spikes() -> Diagnosis:
    steps = range(50, 1000, 25)
    spikes = [Finding(FindingKind.SPIKE, s, s, s / 100, True, "x") for s in steps]
    return with_curve(tuple(Point(s, 0, 4 + 0.1 * wobble(s)) for s in range(1000)), *spikes)


MAKERS: dict[str, Callable[[], Diagnosis]] = {
    "full": fakes.full,
    "healthy": fakes.healthy,
    "not finite": fakes.not_finite,
    "one of each": one_of_each,
    "many spikes": many_spikes,
    "hostile": lambda: fakes.hostile(HOSTILE + "$^$"),
    "one point": lambda: with_curve((Point(7, 0, 4.0),)),
    "no loss": lambda: with_curve((Point(7, 0, learning_rate=1e-3),)),
    "nothing": lambda: with_curve(()),
    "only NaN": lambda: with_curve((Point(0, 0, math.nan), Point(1, 0, math.inf))),
    "constant": lambda: with_curve(tuple(Point(s, 0, 0.0, grad_norm=0.0) for s in range(5))),
    "twenty thousand": lambda: long_run(20_000),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_diagnosis_has_a_figure(name: str, tmp_path: Path) -> None:
    path = canvas.save(figure_diagnosis, MAKERS[name](), tmp_path / "curve.png")
    height, width, _ = imread(path).shape
    assert width == canvas.WIDTH_IN * canvas.DPI
    assert height > 200


def test_the_same_diagnosis_gives_the_same_file() -> None:
    first = canvas.draw(figure_diagnosis, fakes.full())
    assert canvas.draw(figure_diagnosis, fakes.full()) == first


def panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_ylabel().replace("\n", " "): axes for axes in figure.axes}


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for found in figure.legends for text in found.get_texts()]


def test_findings_lie_in_lanes_by_kind() -> None:
    lanes = figure_diagnosis(fakes.full()).axes[0]
    names = [text.get_text() for text in lanes.get_yticklabels()]
    assert names == ["spike", "plateau", "throughput drop"]
    bars = {bar.get_label(): bar for bar in lanes.containers}
    assert list(bars) == ["spike", "plateau", "throughput_drop"]
    (spike,) = bars["spike"].patches
    assert (spike.get_x(), spike.get_x() + spike.get_width()) == (350, 450)
    texts = [text.get_text() for text in lanes.texts]
    assert texts == ["2.5 nats, recovered", "gains only 0.01 nats", f"{TIMES}1.6 step time"]


def test_both_losses_the_peak_and_the_last_good_step_are_drawn() -> None:
    figure = figure_diagnosis(fakes.full())
    loss = panels(figure)["loss (nats per token)"]
    train, val, last_good = loss.lines
    assert list(train.get_ydata()) == list(fakes.LOSSES)
    assert len(val.get_ydata()) == len(fakes.LOSSES)
    assert list(last_good.get_xdata()) == [300, 300]
    assert [tuple(star.get_offsets()[0]) for star in loss.collections] == [(400, 8.0)]
    assert [text.get_text() for text in loss.texts] == ["+2.50 nats"]
    assert legend(figure) == ["train loss", "val loss", "spike's peak", "last good: step 300"]


def test_what_the_log_knows_beside_its_losses_has_a_panel_each() -> None:
    assert list(panels(figure_diagnosis(fakes.full())))[2:] == ["learning rate", "seconds a step"]
    norms = tuple(replace(point, grad_norm=1.0 + point.step) for point in fakes.points())
    assert panels(figure_diagnosis(with_curve(norms)))["gradient norm"].get_yscale() == "log"


def test_a_rate_that_was_not_logged_is_recomputed_from_the_schedule() -> None:
    calm = with_curve(tuple(Point(step, 0, 4.0) for step in range(0, 1001, 100)))
    values = {"learning_rate": 2e-3, "schedule": "linear", "warmup": 0, "total_steps": 1000}
    known = replace(calm, case=replace(calm.case, config=RunConfig(values)))
    (line,) = panels(figure_diagnosis(known))["learning rate (recomputed)"].lines
    rates = np.asarray(line.get_ydata())
    assert rates[0] == pytest.approx(2e-3)
    assert rates[-1] == pytest.approx(0.0, abs=1e-5)


def test_losses_that_are_not_finite_are_crosses_at_the_border() -> None:
    figure = figure_diagnosis(fakes.not_finite())
    (crosses,) = (
        found
        for found in panels(figure)["loss (nats per token)"].collections
        if found.get_label() == "not finite"
    )
    assert [x for x, _ in crosses.get_offsets()] == [400, 500]
    assert "not finite: 2 steps" in legend(figure)


def test_overfitting_is_marked_where_validation_turns() -> None:
    calm = fakes.full()
    turn = Finding(FindingKind.OVERFIT, 500, 700, 0.2, False, "x")
    figure = figure_diagnosis(replace(calm, case=replace(calm.case, findings=(turn,))))
    lines = panels(figure)["loss (nats per token)"].lines
    assert [500, 500] in [list(line.get_xdata()) for line in lines]
    assert "validation turns up" in legend(figure)


def test_the_axis_is_logarithmic_only_where_a_linear_one_would_hide_the_run() -> None:
    calm = panels(figure_diagnosis(fakes.full()))["loss (nats per token)"]
    assert calm.get_yscale() == "linear"
    wild = with_curve(tuple(Point(s, 0, 60.0 if s == 8 else 4 - s / 10) for s in range(20)))
    assert panels(figure_diagnosis(wild))["loss (nats per token)"].get_yscale() == "log"


def test_a_spike_of_one_point_in_many_keeps_its_height() -> None:
    loss = panels(figure_diagnosis(long_run(20_000)))["loss (nats per token)"]
    (line,) = loss.lines
    assert len(line.get_xdata()) < 1000
    assert max(line.get_ydata()) < 5
    area = loss.collections[0].get_paths()[0].vertices
    assert area[:, 1].max() == 9.0
    assert len(area) < 10_000


def test_of_many_spikes_only_the_largest_are_labelled() -> None:
    figure = figure_diagnosis(many_spikes())
    texts = [text.get_text() for text in panels(figure)["loss (nats per token)"].texts]
    assert texts == ["+9.75 nats", "+9.50 nats", "+9.25 nats", "+9.00 nats", "+8.75 nats"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["spike (38)"]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(200, 200, (150, 250)), (0, 100, (0, 150)), (400, 500, (350, 500)), (150, 150, (125, 175))],
)
def test_points_that_stand_apart_reach_half_way_to_their_neighbours(
    start: int, end: int, expected: tuple[float, float]
) -> None:
    finding = Finding(FindingKind.SPIKE, start, end, 1.0, True, "x")
    extent = extent_of(finding, range(0, 501, 100))
    assert (extent.start, extent.end) == expected


@pytest.mark.parametrize("kind", [FindingKind.PLATEAU, FindingKind.THROUGHPUT_DROP])
def test_a_stretch_begins_where_it_begins(kind: FindingKind) -> None:
    extent = extent_of(Finding(kind, 200, 500, 1.0, None, "x"), range(0, 501, 100))
    assert (extent.start, extent.end) == (200, 500)


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300),
    st.integers(min_value=1, max_value=50),
)
def test_a_band_holds_the_least_and_the_greatest_value(values: list[float], most: int) -> None:
    series = Series(np.arange(len(values), dtype=np.float64), np.array(values))
    drawn = band(series, most)
    assert len(drawn.steps) <= most
    assert (drawn.low.min(), drawn.high.max()) == (min(values), max(values))
    assert (drawn.low <= drawn.middle).all()
    assert (drawn.middle <= drawn.high).all()
