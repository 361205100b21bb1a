"""The stream: every epoch a permutation, readable anywhere, traceable to documents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.data import TokenStream

from .fakes import END, tokenize

texts = st.lists(st.text(alphabet="abcdefg", min_size=1, max_size=9), min_size=1, max_size=12)
seeds = st.integers(0, 2**70)


@settings(deadline=None, derandomize=True)
@given(texts, seeds, st.integers(1, 4), st.integers(0, 5))
def test_every_epoch_has_every_segment_once(
    texts: list[str], seed: int, segment_tokens: int, epoch: int
) -> None:
    tokenized = tokenize(*texts, segment_tokens=segment_tokens)
    stream = TokenStream(tokenized, seed=seed)
    assert stream.epoch_tokens == sum(map(len, texts)) + tokenized.num_segments
    tokens, _ = stream.read(epoch * stream.epoch_tokens, stream.epoch_tokens)
    *segments, after_the_last = "".join(map(chr, tokens)).split(chr(END))
    assert after_the_last == ""
    expected = [t[i : i + segment_tokens] for t in texts for i in range(0, len(t), segment_tokens)]
    assert sorted(segments) == sorted(expected)


@settings(deadline=None, derandomize=True)
@given(texts, seeds, st.integers(0, 300), st.integers(0, 80), st.integers(0, 80))
def test_reading_in_parts_is_reading_at_once(
    texts: list[str], seed: int, start: int, first: int, second: int
) -> None:
    tokenized = tokenize(*texts, segment_tokens=3)
    whole = TokenStream(tokenized, seed=seed).read(start, first + second)
    stream = TokenStream(tokenized, seed=seed)
    late = stream.read(start + first, second)  # the later part first: the order is of no account
    early = stream.read(start, first)
    for at_once, one, other in zip(whole, early, late, strict=True):
        assert at_once.tolist() == [*one, *other]


@settings(deadline=None, derandomize=True)
@given(texts, seeds, st.integers(0, 500))
def test_every_position_leads_to_its_document(texts: list[str], seed: int, position: int) -> None:
    stream = TokenStream(tokenize(*texts, segment_tokens=3), seed=seed)
    location = stream.locate(position)
    assert location.name == f"doc:{location.document}"
    assert location.epoch == position // stream.epoch_tokens
    (token,), _ = stream.read(position, 1)
    text = texts[location.document]
    if token == END:
        assert location.offset_tokens % 3 == 0 or location.offset_tokens == len(text)
    else:
        assert text[location.offset_tokens] == chr(token)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    tokenized = tokenize(*(chr(97 + i) for i in range(26)))
    orders = {
        tuple(TokenStream(tokenized, seed=seed).read(52 * epoch, 52)[0])
        for seed in (1, 2)
        for epoch in (0, 1, 2)
    }
    assert len(orders) == 6


def test_the_order_of_a_seed_never_changes() -> None:
    tokens, _ = TokenStream(tokenize(*"abcdefgh"), seed=17).read(0, 32)
    assert "".join(map(chr, tokens)).replace(chr(END), "") == "bedfgchabfehagcd"


def test_an_end_behind_a_cut_is_no_target() -> None:
    stream = TokenStream(tokenize("abcd", segment_tokens=3), seed=0)
    tokens, mask = stream.read(0, stream.epoch_tokens)
    ends = {
        "".join(map(chr, tokens[:i])).split(chr(END))[-1]: bool(mask[i])
        for i in np.flatnonzero(tokens == END)
    }
    assert ends == {"abc": False, "d": True}
    assert mask[tokens != END].all()


def test_the_fingerprint_tells_streams_apart() -> None:
    base = TokenStream(tokenize("abcd", "ef"), seed=1)
    assert base.fingerprint == TokenStream(tokenize("abcd", "ef"), seed=1).fingerprint
    others = [
        TokenStream(tokenize("abcd", "ef"), seed=2),
        TokenStream(tokenize("abcd", "eg"), seed=1),
        TokenStream(tokenize("abc", "def"), seed=1),
        TokenStream(tokenize("abcd", "ef", segment_tokens=3), seed=1),
    ]
    assert len({stream.fingerprint for stream in [base, *others]}) == 5


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (0, -1)])
def test_reading_before_the_start_is_refused(start: int, count: int) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        TokenStream(tokenize("a"), seed=0).read(start, count)


def test_places_and_seeds_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="a seed is 0 or more, not -1"):
        TokenStream(tokenize("a"), seed=-1)
    with pytest.raises(ValueError, match="a position is 0 or more, not -1"):
        TokenStream(tokenize("a"), seed=0).locate(-1)


@settings(deadline=None, derandomize=True)
@given(texts, seeds, st.integers(0, 300), st.integers(0, 90))
def test_passages_are_what_locating_every_token_says(
    texts: list[str], seed: int, start: int, count: int
) -> None:
    stream = TokenStream(tokenize(*texts, segment_tokens=3), seed=seed)

    passages = list(stream.passages(start, count))

    each = [
        (place.epoch, place.name, place.offset_tokens + n)
        for place, length in passages
        for n in range(length)
    ]
    places = [stream.locate(start + n) for n in range(count)]
    assert each == [(place.epoch, place.name, place.offset_tokens) for place in places]
    assert all(length > 0 for _, length in passages)
