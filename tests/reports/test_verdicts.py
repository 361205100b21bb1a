"""The report of a study that was verified: rows, sentences, and a figure that is there."""

from __future__ import annotations

import io
import math
from pathlib import Path

from rich.console import Console

from sweeper.reports.report import write_report
from sweeper.reports.terminal import status, summary
from sweeper.reports.verdicts import verdict_sentences
from sweeper.search.results import load_results
from sweeper.search.store import StudyStore
from tests.search import test_verdicts as other_seeds


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
        "On 8 seeds that no trial had, the best recipe ends",
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


def test_lead_that_was_no_luck_is_not_called_so(tmp_path: Path) -> None:
    """The best recipe's trial in the search had ended at 4.004."""

    def loss_of(name: str, seed: int) -> float:
        return 4.004 + (0.3 if name != "best" else 0.0) + seed * 1e-9

    spec = other_seeds.searched(tmp_path)
    best = load_results(StudyStore(spec, create=False)).best
    assert best is not None
    assert best.val_loss is not None
    shift = best.val_loss - 4.004
    other_seeds.planned(spec)
    other_seeds.look(spec, lambda name, seed: loss_of(name, seed) + shift)
    text = verdict_sentences(load_results(StudyStore(spec, create=False)))
    assert "had ended where it ends on these seeds" in text
    assert "luck" not in text


def test_study_without_other_seeds_says_so_as_before(tmp_path: Path) -> None:
    spec = other_seeds.searched(tmp_path, verify=None)
    results = load_results(StudyStore(spec, create=False))
    paths = write_report(results, spec.output_folder)
    assert "verdicts" not in paths.figures
    text = paths.markdown.read_text("utf-8")
    assert "## Verdicts" not in text
    assert "one seed, no verdict" in text
