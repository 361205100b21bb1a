"""Equal documents, nearly equal ones, and passages that stand in several."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.diagnosis.duplicates import (
    Group,
    find_exact_duplicates,
    find_near_duplicates,
    find_repeats,
)
from sweeper.diagnosis.text import TokenText
from tests.diagnosis.corpora import documents, prose, text_of, word, words


def edited(count: int, *, seed: int, every: int) -> str:
    """A text of which each so many words is another one."""
    changed = words(count, seed=seed)
    changed[::every] = [word(10_000 + n) for n in range(len(changed[::every]))]
    return " ".join(changed)


def shingles(text: TokenText, document: int) -> set[tuple[int, ...]]:
    start, size = int(text.starts[document]), int(text.sizes[document])
    tokens = text.tokens[start : start + size].tolist()
    return {tuple(tokens[n : n + 5]) for n in range(size - 4)}


def test_equal_but_for_whitespace_is_equal() -> None:
    texts = ["a  dog", "a cat", "a\ndog ", "a bird", "a cat", " a dog"]

    groups = find_exact_duplicates(documents(texts))

    assert groups == (Group((0, 2, 5)), Group((1, 4)))


def test_no_two_alike_are_no_group() -> None:
    texts = [prose(80, seed=seed) for seed in range(40)]
    assert find_exact_duplicates(documents(texts)) == ()
    assert find_near_duplicates(text_of(*texts)) == ()
    assert find_repeats(text_of(*texts)) == ()


def test_a_document_with_some_words_changed_is_found_with_its_true_similarity() -> None:
    texts = [prose(300, seed=seed) for seed in range(30)]
    texts[25] = edited(300, seed=7, every=60)
    text = text_of(*texts)

    (group,) = find_near_duplicates(text)

    one, other = shingles(text, 7), shingles(text, 25)
    assert group.documents == (7, 25)
    assert group.similarity == pytest.approx(len(one & other) / len(one | other))
    assert 0.8 <= group.similarity < 1


def test_a_document_with_many_words_changed_is_not() -> None:
    texts = [prose(300, seed=seed) for seed in range(10)]
    texts[5] = edited(300, seed=2, every=12)
    assert find_near_duplicates(text_of(*texts)) == ()


def test_a_template_filled_in_a_hundred_times_is_one_group() -> None:
    body = prose(200, seed=1)
    texts = [f"{word(500 + n)} {body} {word(900 + n)}" for n in range(100)]

    (group,) = find_near_duplicates(text_of(*texts))

    assert group.documents == tuple(range(100))


def test_copies_are_not_told_again_and_short_texts_are_left_alone() -> None:
    body = prose(100, seed=1)
    texts = [body, body, "a few words only", "a few words only!"]
    exact = find_exact_duplicates(documents(texts))
    assert find_near_duplicates(text_of(*texts), exact) == ()


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(2, 40)), min_size=2, max_size=8))
def test_every_claimed_pair_is_as_alike_as_claimed(kinds: list[tuple[int, int]]) -> None:
    text = text_of(*(edited(60, seed=seed, every=every) for seed, every in kinds))
    for group in find_near_duplicates(text):
        first = shingles(text, group.documents[0])
        others = [shingles(text, number) for number in group.documents[1:]]
        least = min(len(first & other) / len(first | other) for other in others)
        assert least == pytest.approx(group.similarity)
        assert least >= 0.8


def test_a_repeated_passage_is_found_where_it_stands_and_as_long_as_it_is() -> None:
    passage = prose(120, seed=99)
    texts = [prose(100, seed=seed) for seed in range(12)]
    for number in (3, 6, 10):
        texts[number] = (
            f"{prose(40, seed=50 + number)} {word(700 + number)} {passage} {word(900 + number)}"
        )
    text = text_of(*texts)

    (repeat,) = find_repeats(text)

    # The space before the passage's first word is part of it.
    assert repeat.num_tokens == 120
    assert [text.document_at(position) for position in repeat.positions] == [3, 6, 10]
    copies = [text.tokens[p : p + repeat.num_tokens] for p in repeat.positions]
    assert all(np.array_equal(copies[0], copy) for copy in copies)
    assert text.excerpt(repeat.positions[0], repeat.num_tokens)[:10] == passage[:10]


def test_what_saves_most_comes_first() -> None:
    often, long = prose(60, seed=1), prose(150, seed=2)
    texts = [f"{word(700 + n)} {often}" for n in range(6)]
    texts += [f"{word(800 + n)} {long}" for n in range(2)]

    repeats = find_repeats(text_of(*texts))

    assert [(len(repeat.positions), repeat.num_tokens) for repeat in repeats] == [(6, 60), (2, 150)]


def test_a_passage_is_told_once_though_some_copies_share_the_word_before_it() -> None:
    passage = prose(60, seed=1)
    texts = [f"{prose(70, seed=100 + n)} {word(n % 7)} {passage}" for n in range(200)]

    (repeat,) = find_repeats(text_of(*texts))

    assert len(repeat.positions) == 200


def test_a_passage_of_fewer_than_50_tokens_is_not_told() -> None:
    passage = prose(48, seed=1)
    assert find_repeats(text_of(f"x {passage} y", f"z {passage} u")) == ()


def test_a_row_of_one_word_does_not_lie_in_itself() -> None:
    (repeat,) = find_repeats(text_of("so " * 500))
    gaps = np.diff(repeat.positions)
    assert (gaps >= repeat.num_tokens).all()


def test_documents_left_out_hold_no_copy() -> None:
    passage = prose(90, seed=1)
    text = text_of(f"x {passage}", f"y {passage}", f"z {passage}")
    assert len(find_repeats(text)[0].positions) == 3
    assert len(find_repeats(text, frozenset({1}))[0].positions) == 2
    assert find_repeats(text, frozenset({1, 2})) == ()
