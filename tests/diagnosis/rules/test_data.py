from __future__ import annotations

import pytest

from sweeper.diagnosis.case import Case, DriftWindow, DuplicateGroup, Passage, RepeatedSection
from tests.diagnosis.rules.cases import answer, case_of, corpus_of, plateau, spike, told

FLAT = [4.0] * 10
JUMP = [4.0] * 6 + [6.0] + [4.0] * 3
CLEAN = Passage("faq.md:12", 600, 100)
ODD = Passage("faq.md:12", 600, 100, 0, ("equal to faq.md:40",))


def spiked(*passages: Passage, **facts: object) -> Case:
    corpus = corpus_of(events={6: passages} if passages else {}, **facts)
    return case_of(JUMP, findings=[spike(6)], corpus=corpus)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of(FLAT, corpus=corpus_of()), "contradicted: No spike"),
        (case_of(JUMP, findings=[spike(6)]), "untestable: Missing: data; give the training text"),
        (spiked(), "untestable: What was read up to step 6 is not known"),
        (
            spiked(ODD),
            "supported: Read there: faq.md:12 (tokens 600 to 700): faq.md:12 is equal to "
            "faq.md:40. That holds if the corpus was read in order.",
        ),
        (spiked(CLEAN), "untestable: Read there: faq.md:12 (tokens 600 to 700): no duplicate"),
        (spiked(CLEAN, order_is_known=True), "contradicted: Read there: faq.md:12"),
        (
            spiked(CLEAN, drift=(DriftWindow(650, 900, 0.21, 5.5),)),
            "tokens 650 to 900 are unlike the rest (0.2100 nats, 5.5 sigma)",
        ),
        (spiked(CLEAN, drift=(DriftWindow(700, 900, 0.2, 5.5),)), "no drift there"),
        (spiked(CLEAN, drift=(DriftWindow(650, 900, 0.01, 1.5),)), "no drift there"),
        (
            spiked(
                CLEAN, repeated_sections=(RepeatedSection("x", 50, ("a.md", "b.md"), (10, 680)),)
            ),
            "50 tokens that stand in 2 places (a.md, b.md)",
        ),
        (
            spiked(CLEAN, repeated_sections=(RepeatedSection("x", 50, ("a.md",), (10, 800)),)),
            "no repeated section",
        ),
    ],
)
def test_data_quality(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "data-quality"))


def test_a_known_order_makes_it_surer_and_a_rise_above_the_start_less() -> None:
    above = case_of(
        JUMP,
        val_loss=JUMP,
        findings=[spike(6)],
        corpus=corpus_of(events={6: (ODD,)}, order_is_known=True),
    )
    cases = (above, spiked(ODD), spiked(ODD, order_is_known=True))

    assert [answer(case, "data-quality").confidence for case in cases] == [0.28, 0.3, 0.55]
    assert "But validation rose by +2.00 nats to 6.0000, above the start" in told(
        answer(above, "data-quality")
    )


def test_only_passages_since_the_point_before_belong_to_an_event() -> None:
    corpus = corpus_of(events={3: (ODD,), 6: (CLEAN,)}, order_is_known=True)
    case = case_of(JUMP, findings=[spike(6)], corpus=corpus)

    assert "equal to" not in told(answer(case, "data-quality"))


COPIES = (DuplicateGroup(tuple(f"a.md:{i}" for i in range(7))),)
NEAR = (DuplicateGroup(("b.md:1", "a.md:1", "b.md:2"), 0.9),)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            case_of(
                FLAT,
                findings=[plateau(0, 9)],
                corpus=corpus_of(exact_duplicates=COPIES, near_duplicates=NEAR),
            ),
            "supported: 7 of 100 documents (7.0 %) equal an earlier one, or nearly",
        ),
        (
            case_of(FLAT, corpus=corpus_of(exact_duplicates=COPIES)),
            "contradicted: 6 of 100 documents (6.0 %) equal an earlier one, or nearly, and the",
        ),
        (
            case_of(FLAT, findings=[plateau(0, 9)], corpus=corpus_of(near_duplicates=NEAR)),
            "contradicted: 2 of 100 documents (2.0 %)",
        ),
        (case_of(FLAT, findings=[plateau(0, 9)]), "untestable: Missing: data"),
    ],
)
def test_duplicate_text(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "duplicate-text"))


ABOVE = [4.0, 3.5, 3.2, 3.0, 2.9]
BELOW = [loss - 0.1 for loss in ABOVE]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            case_of(ABOVE, val_loss=BELOW, corpus=corpus_of(split_duplicates=("a", "b", "c", "d"))),
            "supported: 4 documents stand on both sides of the split (a, b, c, ...).",
        ),
        (
            case_of(BELOW, val_loss=ABOVE, corpus=corpus_of(split_duplicates=("a",))),
            "supported: 1 documents stand on both sides of the split (a).",
        ),
        (case_of(ABOVE, val_loss=BELOW), "supported: Validation lies below training in 4 of 4"),
        (case_of(BELOW, val_loss=ABOVE), "untestable: Validation lies below training in 0 of 4"),
        (case_of(ABOVE), "untestable: Missing: validation loss"),
    ],
)
def test_leak(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "leak"))


def test_a_leak_comes_first_only_where_the_losses_show_it() -> None:
    both = corpus_of(split_duplicates=("a",))
    shown = answer(case_of(ABOVE, val_loss=BELOW, corpus=both), "leak")
    unseen_case = case_of(BELOW, val_loss=ABOVE, corpus=both)
    unseen = answer(unseen_case, "leak")

    assert shown.confidence > 0.6 > unseen.confidence
    (late,) = unseen.rule.advise(unseen_case, unseen.decision)
    (first,) = shown.rule.advise(unseen_case, shown.decision)
    assert (first.urgency, late.urgency) == (1, 4)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            case_of(ABOVE, val_loss=[loss + 0.5 for loss in ABOVE]),
            "supported: Validation minus training is +0.50 nats at step 0 and +0.50",
        ),
        (case_of(ABOVE, val_loss=[loss + 0.01 for loss in ABOVE]), "no gap to begin with"),
        (
            case_of(ABOVE, val_loss=[loss + 0.2 * (i + 1) for i, loss in enumerate(ABOVE)]),
            "contradicted: Validation minus training is +0.20 nats at step 0 and +0.60",
        ),
        (case_of(ABOVE[:2], val_loss=ABOVE[:2]), "untestable: Fewer than three evaluations"),
        (
            case_of(ABOVE, val_loss=[None, *BELOW[1:]], steps=range(0, 5000, 1000)),
            "untestable: The gap at the start is not known",
        ),
    ],
)
def test_split_shift(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "split-shift"))
