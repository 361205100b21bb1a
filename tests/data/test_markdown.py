"""Markdown: pairs by markers, by headings, or paragraphs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.data import Corpus, read_corpus


def read(folder: Path, text: str) -> Corpus:
    (folder / "a.md").write_text(text)
    corpus = read_corpus("a.md", folder)
    for document in corpus.documents:
        for start, end in document.answer_spans:
            assert document.text[:start].endswith("\nA: ")
            assert end == len(document.text)
    return corpus


def pairs(corpus: Corpus) -> list[tuple[str, str]]:
    return [(document.text, document.name) for document in corpus.documents]


@pytest.mark.parametrize(
    "text",
    [
        "Q: one?\nA: yes\n\nQ: two?\nA: no",
        "Q:one?\nA:yes\nQ:two?\nA:no\n",
        "**Q:** one?\n**A:** yes\n\n**Q:** two?\n**A:** no",
        "**Q: one?**\n\nA: yes\n\n**Q: two?**\n\nA: no",
        "**Q**: one?\n**A**: yes\n\n__Q:__ two?\n__A:__ no",
        "Question: one?\nAnswer: yes\nQuestion: two?\nAnswer: no",
        "**Question 1:** one?\n**Answer:** yes\n\n**Question 2:** two?\n**Answer:** no",
        "QUESTION #1: one?\nANSWER: yes\nQUESTION #2: two?\nANSWER: no",
        "### Q: one?\nyes\n### Q: two? ###\n\nno",
        "### Q1: one?\n#### A1: yes\n### Q2: two?\n#### A2: no",
        "## Question\n\none?\n\n## Answer\n\nyes\n\n## Question 2\n\ntwo?\n\n## Answer 2\n\nno",
        "- Q: one?\n- A: yes\n- Q: two?\n- A: no",
        "1. **Q:** one?\n   A: yes\n2. **Q:** two?\n   A: no",
        "**Q: one?**\n\nyes\n\n**Q: two?**\n\nno",
        "Q: one?\n\nA: yes\n\n---\n\nQ: two?\n\nA: no\n\n***\n",
        "---\nQ: one?\nA: yes\n---\nQ: two?\nA: no\n---",
        "---\ntitle: pairs\ntags:\n  - a\n---\nQ: one?\nA: yes\n\nQ: two?\nA: no",
    ],
)
def test_marked_pairs(tmp_path: Path, text: str) -> None:
    corpus = read(tmp_path, text)
    assert corpus.format == "markdown-qa"
    assert [document.text for document in corpus.documents] == [
        "Q: one?\nA: yes",
        "Q: two?\nA: no",
    ]
    assert corpus.warnings == ()


def test_pairs_carry_the_line_of_their_question(tmp_path: Path) -> None:
    corpus = read(tmp_path, "# Title\n\nQ: one?\nA: yes\n\n\nQ: two?\nA: no")
    assert pairs(corpus) == [
        ("Q: one?\nA: yes", "a.md:3"),
        ("Q: two?\nA: no", "a.md:7"),
    ]


def test_text_between_pairs_is_kept_without_an_answer(tmp_path: Path) -> None:
    corpus = read(
        tmp_path,
        "# Title\n\nIntro.\n\n## Lists\n\nQ: one?\nA: yes\n\nstill yes\n\n"
        "## Notes\n\nSome notes.\n\n## Tuples\n\nQ: two?\nA: no\n",
    )
    assert pairs(corpus) == [
        ("# Title\n\nIntro.\n\n## Lists", "a.md:1"),
        ("Q: one?\nA: yes\n\nstill yes", "a.md:7"),
        ("## Notes\n\nSome notes.\n\n## Tuples", "a.md:12"),
        ("Q: two?\nA: no", "a.md:18"),
    ]
    assert [len(document.answer_spans) for document in corpus.documents] == [0, 1, 0, 1]


def test_a_heading_inside_an_answer_stays_in_it(tmp_path: Path) -> None:
    corpus = read(
        tmp_path,
        "Q: how?\nA: so.\n\n### Steps\n\nfirst\n\n### Next topic\n\nQ: two?\nA: no",
    )
    assert [document.text for document in corpus.documents] == [
        "Q: how?\nA: so.\n\n### Steps\n\nfirst",
        "Q: two?\nA: no",
    ]


def test_markers_in_code_are_code(tmp_path: Path) -> None:
    corpus = read(tmp_path, "Q: one?\nA:\n```\nQ: no\nA: no\n# no\n```\nQ: two?\nA: no")
    assert [document.text for document in corpus.documents] == [
        "Q: one?\nA: ```\nQ: no\nA: no\n# no\n```",
        "Q: two?\nA: no",
    ]


def test_questions_without_an_answer_are_kept_and_told(tmp_path: Path) -> None:
    corpus = read(tmp_path, "Q: one?\nA: yes\nQ: lost?\nQ: two?\nA: no\nQ:\nA: alone")
    assert [document.text for document in corpus.documents] == [
        "Q: one?\nA: yes",
        "Q: lost?",
        "Q: two?\nA: no",
        "alone",
    ]
    assert corpus.warnings == (
        "a.md:3: a question without an answer, or the reverse (the first of 2); kept as plain text",
    )


def test_a_fence_that_nothing_closes_swallows_nothing(tmp_path: Path) -> None:
    corpus = read(tmp_path, "Q: one?\nA: yes\n````python\nx = 1\nQ: two?\nA: no")
    assert [document.text for document in corpus.documents] == [
        "Q: one?\nA: yes\n````python\nx = 1",
        "Q: two?\nA: no",
    ]
    assert corpus.warnings == ("a.md:3: a code fence that nothing closes; read it as text",)


def test_a_fence_with_a_language_closes_nothing(tmp_path: Path) -> None:
    open_twice = read(tmp_path, "```python\n## One\nx\n```python\n## Two\ny\n")
    assert open_twice.format == "markdown-headings"
    assert open_twice.warnings == ("a.md:1: a code fence that nothing closes; read it as text",)
    nested = read(tmp_path, "## One\n```\n```python\n# no\n```\n## Two\ny\n")
    assert [document.text for document in nested.documents] == [
        "Q: One\nA: ```\n```python\n# no\n```",
        "Q: Two\nA: y",
    ]


def test_a_rule_below_a_longer_paragraph_is_no_heading(tmp_path: Path) -> None:
    corpus = read(tmp_path, "## One\nfirst line\nlast line\n---\nmore\n## Two\ny")
    assert [document.text for document in corpus.documents] == [
        "Q: One\nA: first line\nlast line\n---\nmore",
        "Q: Two\nA: y",
    ]


def test_headings_ask_when_there_are_no_markers(tmp_path: Path) -> None:
    corpus = read(
        tmp_path,
        "---\ntitle: x\n---\nBefore.\n\n# Guide\n\n## Lists\n\nA list.\n\n"
        "```sh\n# no heading\n```\n"
        "### Slices ##\nA slice of C#.\n\n## Sets\n\n### Frozen\n\nNever changes.\n"
        "####### seven\n    # indented\n\nTuples\n------\nA tuple.\n\nMaps\n====\n\nA map.\n",
    )
    assert corpus.format == "markdown-headings"
    assert pairs(corpus) == [
        ("Before.", "a.md:4"),
        ("Q: Guide: Lists\nA: A list.\n\n```sh\n# no heading\n```", "a.md:8"),
        ("Q: Guide: Slices\nA: A slice of C#.", "a.md:15"),
        (
            "Q: Guide: Sets: Frozen\nA: Never changes.\n####### seven\n    # indented",
            "a.md:20",
        ),
        ("Q: Guide: Tuples\nA: A tuple.", "a.md:26"),
        ("Q: Maps\nA: A map.", "a.md:30"),
    ]


def test_the_title_of_a_file_is_no_part_of_its_questions(tmp_path: Path) -> None:
    corpus = read(tmp_path, "# Guide\n\n## **What is C#?**\n\nA language.\n\n## Why\n\nBecause.")
    assert [document.text for document in corpus.documents] == [
        "Q: What is C#?\nA: A language.",
        "Q: Why\nA: Because.",
    ]


def test_else_paragraphs_and_code_stays_whole(tmp_path: Path) -> None:
    corpus = read(
        tmp_path, "# Only heading\nQ: one?\nA: one pair\n\n~~~\na\n\nb\n~~~\n\n---\n\nend"
    )
    assert corpus.format == "markdown-paragraphs"
    assert pairs(corpus) == [
        ("# Only heading\nQ: one?\nA: one pair", "a.md:1"),
        ("~~~\na\n\nb\n~~~", "a.md:5"),
        ("end", "a.md:13"),
    ]
    assert not any(document.answer_spans for document in corpus.documents)


@pytest.mark.parametrize("unit", ["word ", "#", "`", "- ", "Q: ", "=", " x"])
def test_a_giant_line_is_one_document(tmp_path: Path, unit: str) -> None:
    text = "start " + unit * (5_000_000 // len(unit)) + " end"
    assert [document.text for document in read(tmp_path, text).documents] == [text]
