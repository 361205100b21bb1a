"""The written diagnosis.

`golden/full.md` is the report of the hand-made diagnosis. After a change that is meant, renew it
with `SWEEPER_REFRESH_GOLDEN=1 python -m pytest tests/reports/diagnosis` and read the difference.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.diagnosis.cause import Verdict
from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.reports.diagnosis.content import report_blocks, report_title
from sweeper.reports.diagnosis.page import render_html, render_markdown
from sweeper.reports.words import ABSENT

from ..fakes import HOSTILE
from ..test_report import Page
from . import fakes

GOLDEN = Path(__file__).parent / "golden"
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
SECTIONS = (
    "Executive summary",
    "Key observations",
    "1. Loss progression timeline",
    "2. Spikes and divergence",
    "3. Training configuration at the events",
    "4. Training speed",
    "5. Divergence pattern: training against validation",
    "Root cause analysis",
    "Why the loss is stuck",
    "Recommended fixes, in priority order",
    "Testing your hypothesis",
    "Files of interest",
    "How the log was read",
    "The numbers behind it",
)


def markdown(diagnosis: Diagnosis) -> str:
    return render_markdown(report_title(diagnosis), report_blocks(diagnosis, with_figure=True))


def html(diagnosis: Diagnosis, picture: bytes | None = b"png") -> str:
    blocks = report_blocks(diagnosis, with_figure=True)
    return render_html(report_title(diagnosis), blocks, picture)


def compare_with_golden(name: str, text: str) -> None:
    if os.environ.get("SWEEPER_REFRESH_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_text(text, encoding="utf-8")
        pytest.skip(f"golden/{name} renewed")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


def headings(text: str) -> list[str]:
    return re.findall(r"^#{2,3} (.*)$", text, flags=re.M)


def test_markdown_is_as_agreed() -> None:
    compare_with_golden("full.md", markdown(fakes.full()))


@pytest.mark.parametrize("make", [fakes.full, fakes.healthy, fakes.not_finite])
def test_every_section_is_there_in_order_and_says_something(make: Callable[[], Diagnosis]) -> None:
    text = markdown(make())
    found = [title for title in headings(text) if title in SECTIONS]
    assert found == list(SECTIONS)
    for title in SECTIONS:
        body = text.split(f"# {title}\n", 1)[1].lstrip("\n")
        assert body, title


def test_both_formats_have_the_same_headings() -> None:
    page = html(fakes.full())
    assert re.findall(r"<h[23][^>]*>(.*?)</h[23]>", page) == headings(markdown(fakes.full()))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_causes_stand_in_the_group_of_their_verdict(verdict: Verdict) -> None:
    text = markdown(fakes.full())
    titles = ("Supported (2)", "Contradicted (1)", "Untestable (1)", "Why the loss is stuck")
    place = list(Verdict).index(verdict)
    group = text[text.index(titles[place]) : text.index(titles[place + 1])]
    for cause in fakes.CAUSES:
        assert (cause.rule.title in group) == (cause.verdict is verdict)
        if cause.verdict is verdict:
            assert cause.rule.cannot_show in group
            assert cause.rule.experiment in group
            assert all(sentence in group for sentence in cause.decision.evidence)


def test_every_recommendation_says_what_would_refute_it() -> None:
    text = markdown(fakes.full())
    for item in fakes.RECOMMENDATIONS:
        assert f"- **Refuted by**: {item.advice.refuted_by}\n" in text


def test_what_is_urgent_comes_before_what_can_wait() -> None:
    text = markdown(fakes.full())
    order = ("### Immediate", "1. Lower the learning rate", "### Longer term", "2. Log gradient")
    assert sorted(order, key=text.index) == list(order)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (5.1, 5.4, "5.1000 to 5.4000 nats"),
        (None, 5.4, "at most 5.4000 nats"),
        (5.1, None, "at least 5.1000 nats"),
        (None, None, "none has a basis in this log"),
    ],
)
def test_the_interval_of_the_test_is_open_where_it_has_no_basis(
    low: float | None, high: float | None, words: str
) -> None:
    diagnosis = replace(fakes.full(), test=replace(fakes.TEST, low=low, high=high))
    assert f"- **Interval**: {words}\n" in markdown(diagnosis)


def test_numbers_that_are_none_are_words() -> None:
    text = markdown(fakes.not_finite())
    assert f"| **400** | **NaN** | **inf** | **NaN** | {ABSENT} | **NaN** |" in text
    assert "non-finite loss at steps 400 to 500, not recovered | first NaN |" in text


def test_html_is_self_contained() -> None:
    page = Page(html(fakes.full()))
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert page.handlers == []
    assert page.policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    (address,) = page.addresses
    head, data = address.split(",")
    assert (head, b64decode(data)) == ("data:image/png;base64", b"png")


def test_html_without_a_picture_has_no_image() -> None:
    assert "img" not in Page(html(fakes.full(), picture=None)).tags


def test_hostile_names_are_only_text_in_html() -> None:
    text = html(fakes.hostile(HOSTILE))
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert len(page.addresses) == 1
    assert '<script>alert("1")</script>' in "".join(page.texts)
    assert not CONTROLS.search(text)


def check_markdown(text: str) -> None:
    """No control character, no tag, no link, and every table row as long as its heading."""
    outside_code = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.M | re.S)
    assert "<" not in outside_code
    assert "://" not in outside_code
    assert not CONTROLS.search(text)
    for table in re.findall(r"(?:^\|.*\n)+", outside_code, flags=re.M):
        lines = [line.replace("\\\\", "").replace("\\|", "") for line in table.splitlines()]
        assert len({line.count("|") for line in lines}) == 1, table


def test_hostile_names_are_only_text_in_markdown() -> None:
    check_markdown(markdown(fakes.hostile(HOSTILE)))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.text(max_size=30))
def test_no_text_breaks_the_markdown(text: str) -> None:
    check_markdown(markdown(fakes.hostile(text)))
    assert [
        title for title in headings(markdown(fakes.hostile(text))) if title in SECTIONS
    ] == list(SECTIONS)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.text(max_size=30))
def test_no_text_breaks_the_page(text: str) -> None:
    written = html(fakes.hostile(text))
    assert not CONTROLS.search(written)
    page, calm = Page(written), Page(html(fakes.hostile("x")))
    assert page.open == []
    assert set(page.tags) == set(calm.tags)


def test_advice_that_answers_to_no_cause_claims_no_confidence() -> None:
    general = replace(fakes.RECOMMENDATIONS[0], causes=(), confidence=0.0)
    text = markdown(replace(fakes.full(), recommendations=(general,)))
    assert "Answers to" not in text
