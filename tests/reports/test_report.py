"""The written report.

`golden/report.md` is the report of the fake study. After a change that is meant, renew it with
`SWEEPER_REFRESH_GOLDEN=1 python -m pytest tests/reports/test_report.py` and read the difference.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from sweeper.curves.finding import StopReason
from sweeper.errors import StorageError
from sweeper.reports.conclusions import conclude
from sweeper.reports.content import report_content
from sweeper.reports.html import render_html
from sweeper.reports.markdown import render_markdown
from sweeper.reports.recipe import recipe_yaml
from sweeper.reports.report import ReportPaths, write_report
from sweeper.search.results import StudyResults
from sweeper.study import StudySpec

from . import fakes
from .conftest import make_spec

GOLDEN = Path(__file__).parent / "golden" / "report.md"


class Page(HTMLParser):
    """Collects what an HTML page contains."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.texts: list[str] = []
        self.policy = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.addresses += [
            values[k] or "" for k in ("src", "href", "action", "data") if k in values
        ]
        self.handlers += [name for name in values if name.startswith("on")]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study") / "reports" / "plateau"


@pytest.fixture(scope="module")
def written(folder: Path) -> ReportPaths:
    """The report of the 24 trials, written once."""
    return write_report(replace(fakes.full_results(make_spec()), folder=folder), folder)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> ReportPaths:
    """The report of a study that means harm, written once."""
    return write_report(hostile_results(make_spec()), tmp_path_factory.mktemp("hostile"))


def hostile_results(spec: StudySpec) -> StudyResults:
    """A study in which everything that a user can name is hostile."""
    hypothesis = spec.hypotheses[0].model_copy(update={"name": fakes.HOSTILE})
    spec = spec.model_copy(
        update={"name": fakes.HOSTILE, "model": fakes.HOSTILE, "hypotheses": (hypothesis,)}
    )
    best = fakes.trial(1, fakes.learning_curve(4), **{"schedule": fakes.HOSTILE, "a|b": "`x`"})
    best = replace(best, hypothesis=fakes.HOSTILE, evidence=fakes.HOSTILE)
    return fakes.results_of(spec, fakes.trial(0, fakes.learning_curve(5)), best)


def test_markdown_is_as_agreed(results: StudyResults) -> None:
    text = render_markdown(report_content(results))
    if os.environ.get("SWEEPER_REFRESH_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
        pytest.skip("golden/report.md renewed")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_a_report_is_written_whole(written: ReportPaths, folder: Path) -> None:
    made = {path.name for path in folder.iterdir()}
    assert made == {
        "report.html",
        "report.md",
        "trials.csv",
        "ledger.csv",
        "val_loss.png",
        "best_against_baseline.png",
        "learning_rate_batch.png",
        "importance.png",
        "throughput.png",
    }
    assert {p.name for p in (written.html, written.markdown, written.csv, written.ledger)} < made
    assert all(path.exists() for path in written.figures.values())


def test_the_same_results_give_the_same_report_over_an_old_one(
    written: ReportPaths, results: StudyResults, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text("old", encoding="utf-8")
    assert write_report(results, tmp_path).html.read_bytes() == written.html.read_bytes()


def test_a_report_of_many_trials_says_that_its_table_has_not_all(spec: StudySpec) -> None:
    content = report_content(fakes.crowd(spec))
    remark = (
        "Of 620 trials the table has the first and the last, the baseline and the hypotheses; "
        "all are in trials.csv."
    )

    assert f"\n\n{remark}\n\n| trial |" in render_markdown(content)
    assert f"<p>{remark}</p>" in render_html(content, {f.file: b"" for f in content.figures})


def test_html_is_self_contained(written: ReportPaths) -> None:
    page = Page(written.html.read_text(encoding="utf-8"))
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert page.handlers == []
    assert len(page.addresses) == 5
    for address, figure in zip(page.addresses, written.figures.values(), strict=True):
        head, data = address.split(",")
        assert head == "data:image/png;base64"
        assert b64decode(data) == figure.read_bytes()
    assert page.policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_html_names_no_address_outside(written: ReportPaths) -> None:
    text = written.html.read_text(encoding="utf-8")
    assert re.findall(r"https?://|//[a-z]+\.|url\(|@import", re.sub(r'src="[^"]*"', "", text)) == []


def test_reports_hold_no_absolute_path(written: ReportPaths, folder: Path) -> None:
    for path in (written.html, written.markdown, written.csv):
        assert str(folder.parents[1]) not in path.read_text(encoding="utf-8")


def test_hostile_names_are_only_text_in_html(hostile: ReportPaths) -> None:
    text = hostile.html.read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert '<script>alert("1")</script>' in "".join(page.texts)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_hostile_names_are_only_text_in_markdown(hostile: ReportPaths) -> None:
    text = hostile.markdown.read_text(encoding="utf-8")
    outside_code = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.M | re.S)
    assert "<script" not in outside_code
    assert "http://" not in outside_code
    assert "\x1b" not in text
    assert "\u202e" not in text
    for table in re.findall(r"(?:^\|.*\n)+", outside_code, flags=re.M):
        bars = {line.replace("\\|", "").count("|") for line in table.splitlines()}
        assert len(bars) == 1, table


def test_the_recipe_reads_back_as_the_best_trial_s_hyperparameters(results: StudyResults) -> None:
    best = results.best
    assert best is not None
    read = yaml.safe_load(recipe_yaml(best))
    assert read == {"baseline": {"hyperparameters": dict(best.hyperparameters)}}


def test_html_shows_the_recipe_and_the_command(written: ReportPaths) -> None:
    text = "".join(Page(written.html.read_text(encoding="utf-8")).texts)
    assert "sweeper reproduce studies/plateau.yaml" in text
    assert "batch_size: 32" in text


def test_hypotheses_are_read_without_a_verdict(results: StudyResults) -> None:
    rows = report_content(results).hypotheses
    assert [row.reading for row in rows] == [
        "as expected; one seed, no verdict",
        "against expectation; one seed, no verdict",
        "not finished; one seed, no verdict",
    ]
    assert rows[0].speed == "\u00d71.6"
    assert rows[1].delta == "+0.030"


def test_an_unfinished_baseline_leaves_hypotheses_unfinished(results: StudyResults) -> None:
    baseline = replace(results.trials[0], stop_reason=None, state="running")
    open_ = replace(results, trials=(baseline, *results.trials[1:]))
    readings = {row.reading for row in report_content(open_).hypotheses}
    assert readings == {"not finished; one seed, no verdict"}


def test_the_cost_of_endings_adds_up(results: StudyResults) -> None:
    content = report_content(results)
    *_, whole = content.costs
    assert int(whole.trials) == len(results.trials)
    assert "1 trial was the same experiment" in content.cost_text


def test_a_price_adds_a_column_of_money(results: StudyResults) -> None:
    budget = results.spec.budget.model_copy(update={"price": "2.10 USD/hour"})
    spec = results.spec.model_copy(update={"budget": budget})
    priced = replace(results, spec=spec, wall_clock_s=3600.0, worker_s=7200.0)
    text = render_markdown(report_content(priced))
    assert "| share of the time | money |\n|---|---:|---:|---:|---:|---:|\n" in text
    assert "| in all | 24 | 5.6M | 2 h 00 min | 100% | 2.10 USD |" in text


def test_stopped_trials_come_with_their_evidence(results: StudyResults) -> None:
    stops = report_content(results).stops
    assert ("19", "spike", "why it ended") in stops
    assert len(stops) == 11
    many = replace(results, trials=results.trials[19:20] * 100)
    assert report_content(many).stops[40:] == [("\u2026", "", "60 more in trials.csv")]


def test_gradient_norms_are_listed_per_hundred_steps(results: StudyResults) -> None:
    gradients = report_content(results).gradients
    assert [row.steps for row in gradients.rows] == ["1 to 100", "101 to 200", "201 to 240"]
    assert gradients.names == ("baseline", "best (trial 11)")


def test_a_long_run_gets_longer_stretches(spec: StudySpec) -> None:
    curve = fakes.learning_curve(5, num_steps=9_000)
    content = report_content(fakes.results_of(spec, fakes.trial(0, curve)))
    assert len(content.gradients.rows) == 30
    assert "every 300 steps" in content.gradients.remark


BASELINE = fakes.trial(0, fakes.learning_curve(5))


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ((), "No trial has begun."),
        (
            (fakes.trial(0, stop_reason=None),),
            "No trial has completed, so there is no result. 1 trial so far: 1 running.",
        ),
        (
            (BASELINE, fakes.trial(1, stop_reason=StopReason.SPIKE)),
            "Only the baseline has completed (5.045 nats), so there is nothing to compare it with. "
            "2 trials so far: 1 completed, 1 spike.",
        ),
        (
            (BASELINE, replace(BASELINE, number=1, is_baseline=False, val_loss=5.1)),
            "Nothing beats the baseline. It ends at 5.045 nats; the next best of "
            "1 other completed trial is trial 1 at 5.100 (+0.055).",
        ),
        (
            (BASELINE, replace(BASELINE, number=1, is_baseline=False, val_loss=4.545)),
            "Trial 1 beats the baseline by 0.500 nats: validation loss 4.545 against 5.045 "
            "(perplexity \u00d70.607), after 400k tokens.",
        ),
        (
            (replace(BASELINE, is_baseline=False, number=4),),
            "The baseline has no validation loss, so nothing can be compared with it. "
            "The lowest loss is 5.045 nats, of trial 4.",
        ),
        (
            (
                replace(BASELINE, stop_reason=StopReason.TIMEOUT, tokens=200_000),
                replace(BASELINE, number=1, is_baseline=False, val_loss=5.1),
            ),
            "No trial beats the baseline: the best completed one, trial 1, ends at 5.100 nats, "
            "the baseline at 5.045. The baseline itself has not completed (timeout at 200k "
            "tokens), so the two did not see equal tokens.",
        ),
    ],
)
def test_the_first_sentence(spec: StudySpec, trials: tuple, expected: str) -> None:  # type: ignore[type-arg]
    results = fakes.results_of(spec, *(replace(t, val_loss=_rounded(t.val_loss)) for t in trials))
    assert conclude(results) == expected


def _rounded(loss: float | None) -> float | None:
    return None if loss is None else round(loss, 3)


@pytest.mark.parametrize("keep", [0, 1, 4])
def test_a_young_study_has_a_report(results: StudyResults, keep: int) -> None:
    young = replace(results, trials=results.trials[:keep], recorded=None, importances={})
    content = report_content(young)
    assert render_markdown(content).startswith("# Study plateau\n")
    page = Page(render_html(content, {figure.file: b"" for figure in content.figures}))
    assert page.open == []


def test_a_study_of_ended_failures_has_a_report(results: StudyResults) -> None:
    failed = tuple(trial for trial in results.trials if not trial.completed)
    text = render_markdown(report_content(replace(results, trials=failed)))
    assert "No trial has completed" in text
    assert "There is no recipe yet" in text


def test_an_absolute_study_file_is_named_without_its_folder(results: StudyResults) -> None:
    results = replace(results, spec=results.spec.at(Path("/home/someone/my study.yaml")))
    assert report_content(results).reproduce == "sweeper reproduce 'my study.yaml'"


def test_a_folder_that_cannot_be_written_is_named(results: StudyResults, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot write the report"):
        write_report(results, tmp_path / "file" / "below")
