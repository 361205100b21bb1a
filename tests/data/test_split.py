"""The split: whole documents, no text on both sides, the same for the same seed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.data import Document, split_documents
from sweeper.errors import DataError

texts = st.lists(st.text(alphabet="ab \n", min_size=1, max_size=12), min_size=1, max_size=40)


def as_documents(texts: list[str]) -> list[Document]:
    return [Document(text, f"doc:{i}") for i, text in enumerate(texts)]


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@settings(deadline=None, derandomize=True)
@given(texts, st.integers(0, 2**40), st.floats(0.01, 0.99))
def test_no_text_is_on_both_sides_and_none_is_lost(
    texts: list[str], seed: int, validation: float
) -> None:
    distinct = {words(text) for text in texts}
    if len(distinct) < 2:
        with pytest.raises(DataError):
            split_documents(as_documents(texts), validation=validation, seed=seed)
        return
    split = split_documents(as_documents(texts), validation=validation, seed=seed)
    train = {words(document.text) for document in split.train}
    held_out = {words(document.text) for document in split.validation}
    assert train and held_out
    assert not train & held_out
    assert train | held_out == distinct
    assert split.num_duplicates == len(texts) - len(distinct)
    assert len(split.train) + len(split.validation) == len(distinct)


@settings(deadline=None, derandomize=True)
@given(texts, st.integers(0, 2**40), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_the_test_side_is_taken_from_training_alone(
    texts: list[str], seed: int, validation: float, test: float
) -> None:
    distinct = {words(text) for text in texts}
    if len(distinct) < 3:
        return
    documents = as_documents(texts)
    without = split_documents(documents, validation=validation, seed=seed)
    if len(without.train) < 2:
        with pytest.raises(DataError, match="validation leaves one document"):
            split_documents(documents, validation=validation, seed=seed, test=test)
        return
    split = split_documents(documents, validation=validation, seed=seed, test=test)
    assert split == split_documents(documents, validation=validation, seed=seed, test=test)
    assert without.test == ()
    assert split.validation == without.validation
    assert split.train and split.test
    sides = [{words(d.text) for d in side} for side in (split.train, split.validation, split.test)]
    assert sum(map(len, sides)) == len(distinct)
    assert set.union(*sides) == distinct
    assert set(split.train) | set(split.test) == set(without.train)


def test_the_split_is_the_same_in_every_version() -> None:
    """Recorded before there was a test side: old studies must go on, and old trials come again."""
    documents = as_documents([f"text number {i} " * (1 + i % 5) for i in range(40)])
    split = split_documents(documents, validation=0.2, seed=17)
    assert [d.name for d in split.validation] == [
        f"doc:{i}" for i in (9, 11, 15, 16, 31, 32, 34, 38)
    ]


@settings(deadline=None, derandomize=True)
@given(texts, st.integers(0, 2**40), st.randoms(use_true_random=False))
def test_the_split_hangs_on_the_texts_and_the_seed_alone(
    texts: list[str], seed: int, random: Random
) -> None:
    distinct = list({words(text): text for text in texts}.values())
    if len(distinct) < 2:
        return
    shuffled = list(distinct)
    random.shuffle(shuffled)
    one = split_documents(as_documents(distinct), validation=0.3, seed=seed)
    other = split_documents(as_documents(shuffled), validation=0.3, seed=seed)
    assert {d.text for d in one.validation} == {d.text for d in other.validation}


def test_another_seed_gives_another_split() -> None:
    documents = as_documents([f"text number {i}" for i in range(200)])
    splits = [split_documents(documents, validation=0.2, seed=seed) for seed in range(4)]
    assert len({split.validation for split in splits}) == 4


@pytest.mark.parametrize("validation", [0.01, 0.05, 0.5, 0.9])
def test_the_share_is_of_characters(validation: float) -> None:
    documents = as_documents([f"{i} " + "x" * (i % 97) for i in range(2_000)])
    split = split_documents(documents, validation=validation, seed=3, test=0.05)
    characters = sum(len(document.text) for document in documents)
    held_out = sum(len(document.text) for document in split.validation)
    assert held_out == pytest.approx(validation * characters, abs=97)
    tested = sum(len(document.text) for document in split.test)
    assert tested == pytest.approx(0.05 * characters, abs=97)
    assert list(split.train) == sorted(split.train, key=documents.index)


def test_a_giant_document_stays_in_training() -> None:
    documents = as_documents(["x" * 10_000, "short", "a bit longer"])
    for seed in range(8):
        split = split_documents(documents, validation=0.05, seed=seed)
        assert documents[0] in split.train


def test_the_first_of_equal_texts_stays() -> None:
    split = split_documents(as_documents(["a  b", "a\nb", "c"]), validation=0.5, seed=0)
    assert {d.name for d in split.train + split.validation} == {"doc:0", "doc:2"}
    assert split.num_duplicates == 1


def test_too_few_documents_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        split_documents(as_documents(["same", "same "]), validation=0.1, seed=0)
    assert str(caught.value) == (
        "the corpus has 2 documents, 1 of them different; one side for training and one for "
        "validation need at least 2: add text, or separate documents by blank lines, headings or "
        "Q:/A: markers"
    )


def test_a_test_side_needs_a_third_document() -> None:
    with pytest.raises(DataError, match="one for test and one for validation need at least 3"):
        split_documents(as_documents(["a", "b"]), validation=0.1, seed=0, test=0.1)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_outside_of_zero_and_one_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="validation is a share between 0 and 1"):
        split_documents(as_documents(["a", "b"]), validation=share, seed=0)
    with pytest.raises(ValueError, match="test is a share between 0 and 1"):
        split_documents(as_documents(["a", "b"]), validation=0.1, seed=0, test=share)
