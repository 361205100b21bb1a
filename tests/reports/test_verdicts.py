"""The report of a study that was verified: rows, sentences, and a figure that is there."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from sweeper.reports.conclusions import conclude
from sweeper.reports.report import write_report
from sweeper.reports.terminal import status, summary
from sweeper.reports.verdicts import verdict_sentences
from sweeper.reports.winner import winner_rows, winner_sentences
from sweeper.search.results import load_results
from sweeper.search.store import StudyStore
from tests.search import test_verdicts as other_seeds

pytestmark = pytest.mark.usefixtures("stored_in_memory")


def report_of(folder: Path, loss_of: other_seeds.LossOf, num_looks: int) -> str:
    spec = other_seeds.searched(folder)
    other_seeds.planned(spec)
    other_seeds.measure(spec)
    for _ in range(num_looks):
        other_seeds.look(spec, loss_of)
    results = load_results(StudyStore(spec, create=False))
    paths = write_report(results, spec.output_folder)
    assert paths.figures["verdicts"].stat().st_size > 10_000
    html = paths.html.read_text("utf-8")
    assert "<h2>Verdicts</h2>" in html
    assert html.count("<h3>Other seeds</h3>") == 1
    return paths.markdown.read_text("utf-8")


def test_report_says_what_other_seeds_came_to(tmp_path: Path) -> None:
    effects = {"smaller blocks": -0.3, "more rank": -0.3, "best": 0.0}
    text = report_of(tmp_path, other_seeds.noisy(effects), 2)
    section = text.split("## Verdicts")[1].split("## Hypotheses")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| ")]
    verdicts = {row[1].strip(): row[7].strip() for row in rows if len(row) == 9}
    assert verdicts["smaller blocks"] == "supported"
    assert verdicts["more rank"] == "refuted"
    assert verdicts["quicker"] == "supported"
    assert verdicts["the best recipe (trial 4)"] == "not distinguishable"
    (quicker,) = [row for row in rows if row[1].strip() == "quicker"]
    assert quicker[3].strip() == "15 turns"
    assert quicker[4].strip() == "\u00d71.25"
    for part in (
        "Speeds were measured in 15 turns",
        "These seeds cost 104k tokens.",
        "The validation set of the search also served these seeds",
        "The noise floor: over 8 seeds the baseline itself ends at",
        "The unit of replication is the seed",
        "to look at 5 and 8 seeds",
        "What further seeds say of it stands under Verdicts",
        "; one seed |",
    ):
        assert part in text


def test_report_in_the_middle_of_it_says_what_is_left(tmp_path: Path) -> None:
    def loss_of(name: str, seed: int) -> float:
        is_broken = name == "more rank" and seed % 2 == 0
        return math.inf if is_broken else other_seeds.noisy({"smaller blocks": -0.3})(name, seed)

    text = report_of(tmp_path, loss_of, 1)
    assert "2 comparisons not decided yet" in text
    assert "diverged on" in text
    assert "undecided" in text


def test_terminal_tells_verdicts_and_how_far_the_looks_are(tmp_path: Path) -> None:
    spec = other_seeds.searched(tmp_path)
    other_seeds.planned(spec)
    other_seeds.look(spec, other_seeds.noisy({"smaller blocks": -0.3, "more rank": -0.3}))
    other_seeds.look(spec, other_seeds.noisy({}), most=3)
    results = load_results(StudyStore(spec, create=False))
    console = Console(file=io.StringIO(), width=110, color_system=None)
    console.print(status(results))
    console.print(summary(results))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    counted = "1 supported, 1 refuted, 2 undecided"
    assert text.count(f"Other seeds: look 2 of 2, 3 of 6 trials ended; {counted}") == 2
    (row,) = [line for line in text.splitlines() if "smaller blocks" in line and "seeds" in line]
    assert "5 seeds" in row
    assert row.rstrip().endswith("supported")
    assert "One seed per recipe" not in text


def test_curse_is_the_lead_of_the_search_less_what_is_left_of_it(tmp_path: Path) -> None:
    """The search put its best 0.005 to 0.009 nats below the baseline; other seeds put it above."""
    spec = other_seeds.searched(tmp_path)
    other_seeds.planned(spec)
    other_seeds.look(spec, other_seeds.noisy({"best": 0.3}, spread=0.001))
    results = load_results(StudyStore(spec, create=False))
    assert results.best is not None
    promised = results.delta(results.best)
    assert promised is not None
    assert promised < 0
    (row,) = winner_rows(results)
    assert float(row.removed.replace("\u2212", "-")) == pytest.approx(0.3 - promised, abs=0.003)
    text = winner_sentences(results)
    assert f"In the search trial {results.best.number} ended 0.00" in text
    assert "On 5 seeds that no trial had it ends 0.300 nats above it (97.5 % interval" in text
    assert "so much of its lead was luck" in text
    assert "the validation documents" not in text, "the same ones judged"


def test_top_recipes_are_told_together_and_the_pick_among_them_is_paid_for(tmp_path: Path) -> None:
    spec = other_seeds.searched(
        tmp_path,
        verify={"pairs": [5], "top": 2},
        hypotheses=[],
        data={"test": "5%"},
    )
    other_seeds.planned(spec)
    other_seeds.look(spec, other_seeds.noisy({"best": -0.1, "best:2": -0.2}))
    results = load_results(StudyStore(spec, create=False))
    rows = winner_rows(results)
    second = results.ranked[1].number
    assert [row.name for row in rows][1:] == [f"trial {second}", "mean of these"]
    text = winner_sentences(results)
    assert "Over all 2 the search promised" in text
    assert f"On the 5 seeds that they share trial {second} ends lowest" in text
    assert "hold together (97.5 % each)" in text
    assert "trials' seeds and of the validation documents" in text
    paths = write_report(results, spec.output_folder)
    markdown = paths.markdown.read_text("utf-8")
    assert "Losses are on the test split, 5 % of the documents" in markdown
    assert "| mean of these |" in markdown.split("## The winner")[1]
    assert "<h2>The winner</h2>" in paths.html.read_text("utf-8")


def test_best_recipe_that_diverges_on_other_seeds_is_not_passed_over(tmp_path: Path) -> None:
    spec = other_seeds.searched(tmp_path, verify={"pairs": [5], "top": 1}, hypotheses=[])
    other_seeds.planned(spec)

    def loss_of(name: str, seed: int) -> float:
        return math.inf if name == "best" and seed == spec.seed + 2 else 4.0

    other_seeds.look(spec, loss_of)
    results = load_results(StudyStore(spec, create=False))
    assert results.best is not None
    best = results.best.number
    assert conclude(results).endswith("On 1 of 5 other seeds it diverged.")
    assert winner_rows(results) == []
    assert winner_sentences(results) == (
        f"Trial {best}, of the best in the search, diverged on 1 of 5 seeds and is left out here."
    )


def test_headline_says_what_other_seeds_left_of_the_lead(tmp_path: Path) -> None:
    spec = other_seeds.searched(tmp_path, verify={"pairs": [5], "top": 1}, hypotheses=[])
    other_seeds.planned(spec)
    assert "other seed" not in conclude(load_results(StudyStore(spec, create=False)))
    other_seeds.look(spec, other_seeds.noisy({"best": 0.2}))
    text = conclude(load_results(StudyStore(spec, create=False)))
    assert " On 5 other seeds the difference is +0." in text
    assert text.endswith(": the lead was luck.")


def test_study_without_other_seeds_says_so_as_before(tmp_path: Path) -> None:
    spec = other_seeds.searched(tmp_path, verify=None)
    results = load_results(StudyStore(spec, create=False))
    paths = write_report(results, spec.output_folder)
    assert "verdicts" not in paths.figures
    text = paths.markdown.read_text("utf-8")
    assert "## Verdicts" not in text
    assert "one seed, no verdict" in text


def test_report_counts_the_plans_that_were_begun_before(tmp_path: Path) -> None:
    spec = other_seeds.searched(tmp_path)
    other_seeds.planned(spec)
    other_seeds.begun_again(spec)
    text = verdict_sentences(load_results(StudyStore(spec, create=False)))
    assert "This is plan number 2 of the study; one before was begun and given up" in text
    assert "chance of up to 10%" in text
