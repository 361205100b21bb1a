from __future__ import annotations

import pytest

from sweeper.diagnosis.case import Case
from tests.diagnosis.rules.cases import answer, case_of, corpus_of, plateau, told

FLAT = [6.7] * 10


def stuck(level: float, **facts: object) -> Case:
    return case_of([level] * 10, findings=[plateau(0, 9, level=level)], corpus=corpus_of(**facts))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (stuck(6.9), "supported: The plateau lies at 6.9000 nats; predicting faq.md by token"),
        (stuck(6.46), "supported: The plateau lies at 6.4600"),
        (stuck(6.4), "contradicted: The plateau lies at 6.4000"),
        (stuck(6.4), "some context is used, less than one token"),
        (stuck(4.0), "more than one token of context is used"),
        (stuck(6.9, is_exact=False), "untestable: The corpus was counted in tokens of gpt2"),
        (case_of(FLAT, corpus=corpus_of()), "contradicted: No plateau in this log."),
        (case_of(FLAT, findings=[plateau(0, 9)]), "untestable: Missing: data; give the training"),
        (case_of(FLAT, findings=[plateau(0, 9)], corpus=corpus_of()), "lies at 6.7000 nats"),
        (
            case_of(FLAT, val_loss=[6.0] * 10, findings=[plateau(0, 9)], corpus=corpus_of()),
            "lies at 6.0000 nats",
        ),
        (
            case_of(findings=[plateau(0, 9)], corpus=corpus_of()),
            "untestable: The plateau has no finite loss",
        ),
    ],
)
def test_unigram_floor(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "unigram-floor"))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(FLAT), "contradicted: No plateau in this log."),
        (
            case_of(FLAT, findings=[plateau(0, 9)], config={"rank": 4}),
            "untestable: One log has one rank (here 4): only a sweep",
        ),
        (case_of(FLAT, findings=[plateau(0, 9)]), "untestable: One log has one rank: only a"),
    ],
)
def test_capacity(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "capacity"))
