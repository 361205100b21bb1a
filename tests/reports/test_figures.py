"""Figures: what is in them, and that nothing in a study makes them fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from sweeper.curves.finding import StopReason
from sweeper.reports.canvas import loss_limits
from sweeper.reports.figures import (
    FIGURES,
    figure_best_against_baseline,
    figure_importance,
    figure_learning_rate_batch,
    figure_throughput,
    figure_val_loss,
)
from sweeper.reports.figures.comparison import smooth
from sweeper.search.results import StudyResults
from sweeper.study import StudySpec

from . import fakes

Case = Callable[[StudySpec], StudyResults]


def only_nan(spec: StudySpec) -> StudyResults:
    curve = fakes.poisoned(fakes.learning_curve(5), at=0)
    trials = [fakes.trial(number, curve, StopReason.NON_FINITE) for number in range(3)]
    return fakes.results_of(spec, *trials)


def one_point(spec: StudySpec) -> StudyResults:
    start = fakes.learning_curve(4, tokens=0)
    return fakes.results_of(spec, fakes.trial(0, start), fakes.trial(1, start))


def hostile(spec: StudySpec) -> StudyResults:
    best = replace(fakes.trial(1, fakes.learning_curve(4)), hypothesis=fakes.HOSTILE + "漢😀")
    results = fakes.results_of(spec, fakes.trial(0, fakes.learning_curve(5)), best)
    importances = {fakes.HOSTILE: 0.5, "x" * 90: 0.2, "x" * 91: 0.2, "bad": math.nan}
    return replace(results, importances=importances)


CASES: dict[str, Case] = {
    "full": fakes.full_results,
    "no trials": fakes.results_of,
    "only a baseline": lambda spec: fakes.results_of(spec, fakes.all_trials()[0]),
    "all pruned": lambda spec: fakes.results_of(
        spec, *(trial for trial in fakes.all_trials() if not trial.completed)
    ),
    "only NaN": only_nan,
    "one point": one_point,
    "hostile names": hostile,
    "a crowd": fakes.crowd,
    "no hyperparameters": lambda spec: fakes.results_of(
        spec, *(replace(trial, hyperparameters={}) for trial in fakes.all_trials())
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_copes_with_every_study(
    spec: StudySpec, tmp_path: Path, name: str, case: str
) -> None:
    path = FIGURES[name](CASES[case](spec), tmp_path / f"{name}.png")
    image = imread(path)
    height, width = image.shape[:2]
    assert width == 1500
    assert height >= 200
    assert image[::5, ::5, :3].min() < 0.5  # something is drawn


@pytest.mark.parametrize("name", ["val_loss", "learning_rate_batch", "throughput"])
def test_a_thousand_trials(spec: StudySpec, tmp_path: Path, name: str) -> None:
    some = fakes.all_trials()
    trials = [replace(some[n % 24], number=n, is_baseline=n == 0) for n in range(1000)]
    path = FIGURES[name](fakes.results_of(spec, *trials), tmp_path / "figure.png")
    assert path.stat().st_size > 5_000


def test_the_same_results_give_the_same_bytes(results: StudyResults, tmp_path: Path) -> None:
    draw = FIGURES["learning_rate_batch"]
    first = draw(results, tmp_path / "a.png").read_bytes()
    assert draw(results, tmp_path / "b.png").read_bytes() == first


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_val_loss_draws_each_evaluated_trial_once(results: StudyResults) -> None:
    axes = figure_val_loss(results).axes[0]
    evaluated = [trial for trial in results.trials if trial.curve.last_val_loss is not None]
    assert len(axes.lines) == len(evaluated)
    thick = [line.get_label() for line in axes.lines if line.get_linewidth() > 2]
    assert thick == ["baseline", "best: trial 11"]


def test_val_loss_marks_and_counts_every_stop_reason(results: StudyResults) -> None:
    figure = figure_val_loss(results)
    marked = {c.get_label(): len(c.get_offsets()) for c in figure.axes[0].collections}
    stops = {
        reason: sum(trial.stop_reason is reason for trial in results.trials)
        for reason in StopReason
        if reason is not StopReason.COMPLETED
    }
    assert {name: marked.get(name.value, 0) for name in stops} == stops
    assert {"spike: 2", "non-finite: 1", "out of memory: 1", "stopped early: 10"} <= set(
        legend_texts(figure)
    )


def test_val_loss_clips_spikes_and_says_so(results: StudyResults) -> None:
    figure = figure_val_loss(results)
    low, high = figure.axes[0].get_ylim()
    assert high < 6.5  # the spikes reach 9 nats
    assert low < 3.91 < 5.49 < high
    assert "goes above the border: 2" in legend_texts(figure)


def test_val_loss_shows_the_recorded_log_apart(results: StudyResults) -> None:
    recorded = figure_val_loss(results).axes[1]
    assert "a run from elsewhere" in recorded.get_title(loc="left") + recorded.get_title()
    assert [len(line.get_xdata()) for line in recorded.lines] == [6, 6]
    assert len(figure_val_loss(replace(results, recorded=None)).axes) == 1


def test_completed_and_stopped_differ_by_more_than_colour(results: StudyResults) -> None:
    lines = [line for line in figure_val_loss(results).axes[0].lines if line.get_linewidth() < 2]
    assert {line.get_linestyle() for line in lines} == {"-", "--", ":"}


def test_best_against_baseline_has_four_panels_of_two(results: StudyResults) -> None:
    panels = figure_best_against_baseline(results).axes
    assert [len(axes.lines) for axes in panels] == [4, 2, 2, 2]
    assert panels[2].get_yscale() == "log"


def test_learning_rate_batch_rings_baseline_and_best(results: StudyResults) -> None:
    axes = figure_learning_rate_batch(results).axes[0]
    assert axes.get_xscale() == "log"
    rings = {
        c.get_label(): c.get_offsets()[0][0] for c in axes.collections if c.get_sizes()[0] > 300
    }
    best = results.best
    assert best is not None
    assert rings == {"baseline": 2e-5, "best": best.hyperparameters["learning_rate"]}
    dots = sum(len(c.get_offsets()) for c in axes.collections) - len(rings)
    assert dots == len(results.trials)


def test_importance_is_sorted_and_warns_of_few_trials(results: StudyResults) -> None:
    axes = figure_importance(results).axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == sorted(results.importances.values())
    few = replace(results, trials=results.trials[:3])
    title = (
        figure_importance(few).axes[0].get_title(loc="left")
        + figure_importance(few).axes[0].get_title()
    )
    assert "too few completed trials: 3" in title


def test_without_importances_the_figure_says_why(spec: StudySpec) -> None:
    texts = [text.get_text() for text in figure_importance(fakes.results_of(spec)).texts]
    assert texts == ["No importances: too few completed trials: 0"]


def test_throughput_has_a_column_per_block_and_the_baseline(results: StudyResults) -> None:
    figure = figure_throughput(results)
    axes = figure.axes[0]
    names = [text.get_text().split("\n")[0] for text in axes.get_xticklabels()]
    assert names == ["64", "128", "256"]
    assert "baseline: 15k tokens/s" in legend_texts(figure)


def test_dollars_in_names_are_not_mathematics(spec: StudySpec, tmp_path: Path) -> None:
    results = replace(hostile(spec), importances={"$^$": 1.0})
    assert FIGURES["importance"](results, tmp_path / "a.png").exists()


def test_loss_limits_ignore_one_spike_and_keep_the_best() -> None:
    low, high = loss_limits([5.4] * 5, [5.4, 5.0, 4.5, 4.0, 3.9] * 5 + [60.0])
    assert low < 3.9
    assert 5.4 < high < 6.0


@pytest.mark.parametrize("values", [[], [math.nan, math.inf], [2.0], [2.0, 2.0], [0.0]])
def test_loss_limits_are_always_a_range(values: list[float]) -> None:
    low, high = loss_limits(values, values)
    assert math.isfinite(low)
    assert low < high < math.inf


def test_smoothing_keeps_a_constant_and_skips_nan() -> None:
    import numpy as np

    values = np.full(200, 3.0)
    values[50] = np.nan
    smoothed = smooth(values)
    assert np.isnan(smoothed[50])
    assert np.allclose(np.delete(smoothed, 50), 3.0)
