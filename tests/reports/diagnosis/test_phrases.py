"""Numbers and names of a diagnosis in words."""

from __future__ import annotations

import math

import pytest

from sweeper.curves import Finding, FindingKind
from sweeper.reports.diagnosis import phrases
from sweeper.reports.words import ABSENT, TIMES


def finding(kind: FindingKind, severity: float) -> Finding:
    return Finding(kind, 1, 2, severity, None, "x")


@pytest.mark.parametrize(
    ("kind", "severity", "expected"),
    [
        (FindingKind.SPIKE, 2.934, "2.93 nats"),
        (FindingKind.THROUGHPUT_DROP, 1.69, f"{TIMES}1.69 step time"),
        (FindingKind.PLATEAU, 0.0123, "gains only 0.012 nats"),
        (FindingKind.PLATEAU, 0.0, "no gain"),
        (FindingKind.NON_FINITE, 0.0, ABSENT),
        (FindingKind.DIVERGENCE, math.inf, ABSENT),
    ],
)
def test_a_size_has_its_unit(kind: FindingKind, severity: float, expected: str) -> None:
    assert phrases.size_words(finding(kind, severity)) == expected


@pytest.mark.parametrize(
    ("recovered", "expected"),
    [
        (True, "spike at steps 1 to 2, recovered"),
        (False, "spike at steps 1 to 2, not recovered"),
        (None, "spike at steps 1 to 2"),
    ],
)
def test_a_finding_in_a_phrase(recovered: bool | None, expected: str) -> None:
    found = Finding(FindingKind.SPIKE, 1, 2, 1.0, recovered, "x")
    assert phrases.finding_words(found) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Short.", "Short."),
        ("One. Two is longer. Three.", "One. Two is longer."),
        ("No end in sight of this one sentence", "No end in sight of…"),
        ("", ""),
    ],
)
def test_whole_sentences_are_kept(text: str, expected: str) -> None:
    assert phrases.opening_sentences(text, 20) == expected


def test_a_rate_is_short() -> None:
    assert [phrases.rate_words(rate) for rate in (1.5e-5, 0.001, None)] == [
        "1.5e-5",
        "0.001",
        ABSENT,
    ]


def test_where_a_file_lies_is_left_out() -> None:
    assert phrases.short_name("/home/somebody/runs/step5.pt") == "step5.pt"
