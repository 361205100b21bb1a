"""The report of an ablation: a figure, a table, and which change carried the gain."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.reports.ablation import ablation_rows, ablation_sentences
from sweeper.reports.report import write_report
from sweeper.reports.verdicts import verification_words
from sweeper.search.results import StudyResults, load_results
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec
from tests.search import test_ablation as parts
from tests.search.test_verdicts import look, verification_of

pytestmark = pytest.mark.usefixtures("stored_in_memory")


def results_of(spec: StudySpec) -> StudyResults:
    results = load_results(StudyStore(spec, create=False))
    return replace(results, importances={"learning_rate": 0.8, "rank": 0.2})


def test_report_says_which_change_carried_the_gain(tmp_path: Path) -> None:
    spec = parts.searched(tmp_path)
    loss_of = parts.made_of({"learning_rate": -0.6, "block_size": -0.1, "rank": 0.05})
    look(spec, loss_of)
    assert verification_words(verification_of(spec)).startswith("Ablation after other seeds: 0 of")
    assert ablation_sentences(results_of(spec)) == ""
    look(spec, loss_of)
    results = results_of(spec)
    rows = ablation_rows(results)
    assert [row.importance for row in rows] == ["80%", "\u2013", "20%"]
    assert rows[0].change.startswith("learning_rate 0.001 \u2192 0.01")
    text = ablation_sentences(results)
    assert "On 5 seeds the best recipe (trial 2) less the baseline is -0.65" in text
    assert "learning_rate carried the most of it" in text
    assert "could not be told from chance" in text
    assert "p-values hold together (Holm)" in text
    paths = write_report(results, spec.output_folder)
    assert paths.figures["ablation"].stat().st_size > 10_000
    assert "## Ablation" in paths.markdown.read_text("utf-8")
    assert "<h2>Ablation</h2>" in paths.html.read_text("utf-8")


def test_changes_that_act_together_are_named(tmp_path: Path) -> None:
    spec = parts.searched(tmp_path)
    nothing = {"learning_rate": 0.0, "block_size": 0.0, "rank": 0.0}
    parts.ablated(spec, parts.made_of(nothing, together=-0.5))
    text = ablation_sentences(results_of(spec))
    assert "rank act otherwise alone than beside the other changes" in text


def test_change_that_keeps_the_best_from_diverging_is_named(tmp_path: Path) -> None:
    spec = parts.searched(tmp_path)
    usual = parts.made_of({"learning_rate": -0.6, "block_size": -0.1, "rank": 0.05})
    parts.ablated(spec, lambda key, s: math.inf if key == "without:block_size" else usual(key, s))
    text = ablation_sentences(results_of(spec))
    assert "Without block_size the best recipe diverges on 5 of 5 seeds." in text
    assert "learning_rate carried the most of it" in text


def test_one_change_is_its_own_ablation(tmp_path: Path) -> None:
    spec = parts.searched(tmp_path, trials=[{"rank": 3}])
    assert "one change away from the baseline" in ablation_sentences(results_of(spec))
