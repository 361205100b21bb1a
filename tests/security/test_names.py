"""Names and evidence that try to be a path, a tag, a formula or an escape sequence."""

from __future__ import annotations

import csv
import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from optuna.trial import Trial
from optuna_dashboard import get_note

from sweeper import cli
from sweeper.curves import Stop, StopReason
from sweeper.errors import StudyFileError
from sweeper.search import attributes as attrs
from sweeper.search.dashboard import note_trial
from sweeper.search.outcomes import Result
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec, load_study
from tests.search.fakes import claimed, plain, result, run_faked
from tests.search.fakes import spec_at as small_study

PATHS = (
    "../../outside",
    "/etc/passwd",
    "..",
    "~/.ssh",
    "a/../../b",
    "a\\..\\b",
    "file:x",
    "%2e%2e",
)
MARKUP = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><svg onload=alert(1)>",
    "[red]bold[/red]",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "a | b",
    "=HYPERLINK(1)",
    "$\\frac$",
    "{{ 7 * 7 }}",
    "%s %n {0} {spec}",
    "`id` $(id)",
)
TERMINAL = (
    "\x1b[2J",
    "\x1b]0;owned\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "a\rb",
    "a\nb",
    "\x00",
    "\x08" * 4,
)


class _Page(HTMLParser):
    """A page's tags, and whatever could act in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.acting: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.acting += [
            f"{name}={value}"
            for name, value in attributes
            if name.startswith("on") or (value or "").lower().startswith("javascript:")
        ]


def study_file(folder: Path, **changes: object) -> Path:
    (folder / "qa.md").write_text("Q: What?\nA: That.\n")
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain(**changes), allow_unicode=True), "utf-8")
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    """A study whose name, hypotheses and evidence are all of the above, with some trials."""
    folder = tmp_path_factory.mktemp("hostile") / "inside"
    folder.mkdir()
    spec = load_study(
        study_file(
            folder,
            name="../../" + MARKUP[0] + MARKUP[3] + MARKUP[8],
            budget={"trials": len(MARKUP) + 3},
            hypotheses=[
                {"name": name, "change": {"learning_rate": 1e-3 * 1.1**number}}
                for number, name in enumerate(MARKUP, start=1)
            ],
        )
    )
    store = StudyStore(spec, create=True)
    failed = Result(Stop(StopReason.ERROR, " ".join((*MARKUP, *TERMINAL))), None, 1_000, 1.0)
    completed = claimed(store)
    assert store.finish(completed, result(val_loss=5.0))
    for _ in range(2):
        claim = claimed(store)
        note_trial(store, claim, failed)
        assert store.finish(claim, failed)
    run_faked(store)
    return spec


def printed(spec: StudySpec, command: str) -> str:
    """What a command prints on both streams."""
    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(text), redirect_stderr(text):
        patch.chdir(spec.folder)
        patch.setattr(sys, "argv", ["sweeper", command, spec.path.name])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert not ended.value.code
    return text.getvalue()


@pytest.fixture(scope="module")
def report(hostile: StudySpec) -> str:
    """What the hostile study's report says on the terminal; its files lie beside the trials."""
    return printed(hostile, "report")


def assert_only_text(text: str) -> None:
    """No character of a text steers a terminal, and none turns the reading direction."""
    assert [c for c in text if c != "\n" and not (c.isprintable() or c == " ")] == []


@pytest.mark.parametrize("name", [*PATHS, *MARKUP])
def test_a_name_is_a_folder_below_the_reports(tmp_path: Path, name: str) -> None:
    spec = small_study(tmp_path, name=name)
    folder = spec.output_folder.resolve()
    assert folder.parent == tmp_path / "reports"
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", folder.name)


@pytest.mark.parametrize("text", TERMINAL)
@pytest.mark.parametrize("key", ["name", "hypotheses", "output"])
def test_a_study_file_with_control_characters_is_refused(
    tmp_path: Path, key: str, text: str
) -> None:
    value = [{"name": text, "change": {"rank": 4}}] if key == "hypotheses" else text
    with pytest.raises(StudyFileError) as caught:
        load_study(study_file(tmp_path, **{key: value}))
    assert_only_text(str(caught.value))


@pytest.mark.usefixtures("report")
def test_nothing_is_written_outside(hostile: StudySpec) -> None:
    assert list(hostile.folder.parent.iterdir()) == [hostile.folder]
    assert {path.name for path in hostile.folder.iterdir()} == {"reports", "study.yaml", "qa.md"}
    assert list((hostile.folder / "reports").iterdir()) == [hostile.output_folder]
    names = {path.name for path in hostile.output_folder.rglob("*")}
    assert {name for name in names if not re.fullmatch(r"[.\w-]+", name, re.ASCII)} == set()


def test_the_report_shows_markup_and_runs_none(hostile: StudySpec, report: str) -> None:
    assert_only_text(report)
    html = (hostile.output_folder / "report.html").read_text("utf-8")
    page = _Page(html)
    assert page.acting == []
    assert not page.tags & {"script", "iframe", "object", "form", "svg", "a", "link"}
    assert "7 * 7" in html  # a template's text is shown, not computed
    markdown = (hostile.output_folder / "report.md").read_text("utf-8")
    outside_code = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", markdown, flags=re.M | re.S)
    assert not re.search(r"<(script|img|svg|/style)", outside_code)
    assert not re.search(r"(?<!\\)\]\((javascript|http)", outside_code)
    for text in (html, markdown):
        assert_only_text(text)


@pytest.mark.usefixtures("report")
def test_no_cell_of_a_table_is_a_formula(hostile: StudySpec) -> None:
    for name in ("trials.csv", "ledger.csv"):
        text = (hostile.output_folder / name).read_text("utf-8")
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        words = [cell for cell in cells if not re.fullmatch(r"[-+]?[0-9.e+-]+|-?inf|nan", cell)]
        assert [cell for cell in words if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []


def test_the_status_is_only_text(hostile: StudySpec) -> None:
    text = printed(hostile, "status")
    assert_only_text(text)
    assert "[red]bold[/red]" in text  # shown, not taken for a colour


def test_notes_in_the_dashboard_hold_no_markup_of_a_name(hostile: StudySpec) -> None:
    store = StudyStore(hostile, create=False)
    note = get_note(Trial(store.study, store.trials()[1]._trial_id))
    assert "onerror" in note
    assert not re.search(r"<\w|\]\(|!\[", note)
    assert_only_text(note)


def test_a_trials_evidence_is_kept_as_it_was(hostile: StudySpec) -> None:
    """It is cleaned where it is shown: what is stored is the evidence itself."""
    trials = StudyStore(hostile, create=False).trials()
    assert "\x1b]0;owned" in trials[1].user_attrs[attrs.EVIDENCE]
