"""Files, data and how the log was read: long lists are cut, and say so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sweeper.diagnosis.case import CorpusFacts, DriftWindow, DuplicateGroup, Passage
from sweeper.reports.diagnosis.report import markdown_report

from . import fakes


def report_with(corpus: CorpusFacts) -> str:
    calm = fakes.full()
    return markdown_report(replace(calm, case=replace(calm.case, corpus=corpus)))


def test_of_many_passages_the_first_are_named() -> None:
    passages = tuple(Passage(f"a.md:{place}", place, 9) for place in range(30))
    text = report_with(replace(fakes.CORPUS, events={400: passages}))
    assert "a.md:4 |" in text
    assert "a.md:5 |" not in text
    assert "| 400 | and 25 more |" in text


def test_of_many_duplicates_the_first_are_named() -> None:
    groups = tuple(DuplicateGroup((f"a:{n}", f"b:{n}")) for n in range(14))
    text = report_with(replace(fakes.CORPUS, exact_duplicates=groups))
    assert "- **Equal documents**: a:9, b:9\n- **Equal documents**: 4 more groups" in text
    many = DuplicateGroup(tuple(f"c:{n}" for n in range(25)))
    assert "c:9 and 15 more" in report_with(replace(fakes.CORPUS, exact_duplicates=(many,)))


@pytest.mark.parametrize(
    ("z", "expected"),
    [
        (7.2, "tokens 0 to 9: 0.100 nats from the rest, +7.2 robust standard deviations"),
        (1.5, "no stretch of 1; the oddest stands +1.5 robust standard deviations off"),
    ],
)
def test_only_odd_stretches_are_listed(z: float, expected: str) -> None:
    text = report_with(replace(fakes.CORPUS, drift=(DriftWindow(0, 9, 0.1, z),)))
    assert f"- **Unlike the rest**: {expected}" in text


def test_a_clean_corpus_is_said_to_be_clean() -> None:
    clean = CorpusFacts("a.md", 10, 1000, "words", True, 300, 5.0, 4.0)
    assert "No duplicates, no repeated section and no drift were found." in report_with(clean)


def test_the_order_of_batches_is_said_to_be_known_or_not() -> None:
    known = report_with(replace(fakes.CORPUS, order_is_known=True))
    assert "by the run's own order of batches" in known
    assert "if the corpus was read in order (unknown here)" in report_with(fakes.CORPUS)


def test_without_a_good_step_none_is_made_up() -> None:
    lost = replace(fakes.full(), last_good_step=None, last_good_reason="", checkpoints=())
    text = markdown_report(lost)
    assert "- **Best checkpoint**: no step stands out\n" in text
    assert "- **Checkpoints to ignore**: none\n" in text
