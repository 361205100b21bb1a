"""A corpus from all sides, and what of it was read at an event."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.diagnosis.case import CorpusFacts, RunConfig
from sweeper.diagnosis.corpus import read_corpus_facts
from sweeper.diagnosis.passages import MOST_PASSAGES, pieces_in_order
from sweeper.errors import BaseError, DataError
from sweeper.models.tiny import write_tiny_tokenizer
from tests.diagnosis.corpora import prose, text_of, words

BLOCK, BATCH = 32, 4  # 128 tokens a step
CONFIG = RunConfig({"block_size": BLOCK, "batch_size": BATCH})
NUM_DOCUMENTS, DOCUMENT_WORDS = 60, 99  # and the end: 100 tokens each


def corpus(folder: Path, changes: dict[int, str] | None = None) -> str:
    """Paragraphs of 99 words each; returns the file's name. Paragraph n stands on line 2n + 1."""
    texts = [prose(DOCUMENT_WORDS, seed=seed) for seed in range(NUM_DOCUMENTS)]
    for number, text in (changes or {}).items():
        texts[number] = text
    (folder / "notes.txt").write_text("\n\n".join(texts) + "\n", "utf-8")
    return "notes.txt"


def name(number: int) -> str:
    return f"notes.txt:{2 * number + 1}"


def facts(folder: Path, source: str, steps: dict[int, int], **given: object) -> CorpusFacts:
    model = given.get("model")
    assert model is None or isinstance(model, str)
    return read_corpus_facts(source, folder, model=model, config=CONFIG, event_steps=steps)


def test_events_name_the_documents_that_a_step_reads(tmp_path: Path) -> None:
    found = facts(tmp_path, corpus(tmp_path), {10: 9, 47: 46})

    # Step 10 reads positions 1152 to 1279; step 47 positions 5888 to 6015, over the corpus's end.
    assert [(p.name, p.start_tokens, p.num_tokens, p.epoch) for p in found.events[10]] == [
        (name(11), 1152, 48, 0),
        (name(12), 1200, 80, 0),
    ]
    assert [(p.name, p.start_tokens, p.num_tokens, p.epoch) for p in found.events[47]] == [
        (name(58), 5888, 12, 0),
        (name(59), 5900, 100, 0),
        (name(0), 0, 16, 1),
    ]
    assert not found.order_is_known
    assert not found.is_exact
    assert "words" in found.tokenizer
    assert (found.num_documents, found.num_tokens) == (NUM_DOCUMENTS, 100 * NUM_DOCUMENTS)


def test_odd_documents_are_named_first_with_what_is_odd(tmp_path: Path) -> None:
    same = prose(DOCUMENT_WORDS, seed=7)
    alike = words(DOCUMENT_WORDS, seed=9)
    alike[50] = "otherwise"
    found = facts(
        tmp_path, corpus(tmp_path, {30: same, 33: " ".join(alike), 35: same}), {32: 20, 20: 12}
    )

    assert found.exact_duplicates[0].names == (name(7), name(30), name(35))
    assert [group.names for group in found.near_duplicates] == [(name(9), name(33))]
    first, second = found.events[32][:2]
    assert (first.name, first.remarks) == (name(30), (f"equal to {name(7)} and 1 more",))
    assert first.name, second.name == (name(30), name(35))
    assert found.events[32][2].remarks[0].startswith("at least 9")
    assert not any(passage.remarks for passage in found.events[20])


def test_at_most_20_passages_are_named_and_they_are_spread(tmp_path: Path) -> None:
    (passages,) = facts(tmp_path, corpus(tmp_path), {46: 0}).events.values()

    assert len(passages) == MOST_PASSAGES
    assert len({passage.name for passage in passages}) == MOST_PASSAGES
    starts = [passage.start_tokens for passage in passages]
    assert starts == sorted(starts)
    assert starts[0] < 300
    assert starts[-1] > 5_400


def test_repeats_long_documents_and_drift_are_remarked(tmp_path: Path) -> None:
    passage = prose(60, seed=123)
    changes = {
        10: f"{prose(50, seed=201)} one {passage}",
        20: f"{prose(50, seed=202)} two {passage}",
        40: " ".join(words(30_000, seed=40)),
    }
    found = facts(tmp_path, corpus(tmp_path, changes), {10: 0, 20: 10, 80: 70})

    (section,) = found.repeated_sections
    assert section.names == (name(10), name(20))
    assert (section.num_tokens, len(section.positions_tokens)) == (60, 2)
    assert passage.startswith(section.text.strip()[:20])
    remarks = {p.name: p.remarks for event in found.events.values() for p in event}
    assert remarks[name(10)] == ("holds a passage of 60 tokens that stands 2 times",)
    assert "30,000 tokens long, 303 times the median" in remarks[name(40)]
    assert len(found.drift) >= 8


def test_entropies_are_in_their_order(tmp_path: Path) -> None:
    loop = " ".join(["red", "green", "blue", "white"] * 500)
    (tmp_path / "loop.txt").write_text(loop)

    found = facts(tmp_path, "loop.txt", {})

    assert found.unigram_nats == pytest.approx(math.log(4), abs=0.01)
    assert found.bigram_nats < 0.05


def test_a_models_tokenizer_makes_it_exact(tmp_path: Path) -> None:
    source = corpus(tmp_path)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text('{"model_type": "gpt2", "vocab_size": 1024}')
    write_tiny_tokenizer([prose(500, seed=1)], tmp_path / "base")

    found = facts(tmp_path, source, {3: 2}, model="base")

    assert found.is_exact
    assert found.tokenizer == "the tokenizer of base"
    assert found.num_tokens > 100 * NUM_DOCUMENTS
    assert found.events[3]


def test_the_same_corpus_gives_the_same_facts(tmp_path: Path) -> None:
    source = corpus(tmp_path, {3: prose(99, seed=4), 5: prose(200, seed=4)})
    assert facts(tmp_path, source, {5: 0}) == facts(tmp_path, source, {5: 0})


def test_without_the_tokens_of_a_step_there_are_no_events(tmp_path: Path) -> None:
    found = read_corpus_facts(
        corpus(tmp_path), tmp_path, model=None, config=RunConfig(), event_steps={5: 4}
    )
    assert found.events == {}


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 90), st.integers(0, 60))
def test_pieces_are_what_every_position_of_a_range_belongs_to(
    sizes: list[int], start: int, count: int
) -> None:
    text = text_of(*("so " * size + "on it" for size in sizes))
    length = text.tokens.size

    pieces = list(pieces_in_order(text, start, start + count))

    covered = [
        (piece.epoch, piece.document, piece.start_tokens + n)
        for piece in pieces
        for n in range(piece.num_tokens)
    ]
    positions = range(max(start, start + count - length), start + count)
    assert covered == [(p // length, text.document_at(p % length), p % length) for p in positions]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), ("", "has no text"), ("word", "has 1 tokens, too few")],
)
def test_a_corpus_that_cannot_be_used_is_refused(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "notes.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        facts(tmp_path, "notes.txt", {})


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    with pytest.raises(BaseError, match=r"base has no tokenizer\.json"):
        facts(tmp_path, corpus(tmp_path), {}, model="base")
