"""Formats of numbers and names."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves.finding import StopReason
from sweeper.reports import words

quick = settings(deadline=None, derandomize=True, max_examples=100)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, words.ABSENT),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (3.8614, "3.861"),
    ],
)
def test_nats_says_what_is_not_a_number(value: float | None, expected: str) -> None:
    assert words.nats(value) == expected


def test_a_change_below_half_a_thousandth_has_no_sign() -> None:
    assert words.nats_change(-0.0004) == "0.000"
    assert words.nats_change(-0.0006) == "-0.001"
    assert words.nats_change(0.25) == "+0.250"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (999, "999"), (1000, "1k"), (400_000, "400k"), (999_999, "1M"), (1.25e6, "1.25M")],
)
def test_count(value: float, expected: str) -> None:
    assert words.count(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (8.24, "8.2 s"),
        (59.97, "1 min"),
        (200, "3 min 20 s"),
        (1800, "30 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert words.duration(seconds) == expected


def test_perplexity_ratio_of_an_absurd_loss_does_not_overflow() -> None:
    assert words.perplexity_ratio(1e6) == math.inf
    assert words.perplexity_ratio(0.0) == 1.0
    assert words.ratio(math.inf) == "inf"


def test_hyperparameters_read_as_a_phrase() -> None:
    phrase = words.hyperparameter_words(
        {
            "schedule": "constant",
            "accumulation": 2,
            "learning_rate": 0.0032,
            "batch_size": 32,
            "block_size": 64,
            "weight_decay": 1e-5,
            "train_also": ["norms", "embeddings"],
        }
    )
    times = words.TIMES
    assert phrase == (
        f"lr 0.0032, block 64, batch 32{times}2, constant, decay 1e-5, train also norms+embeddings"
    )


def test_a_changed_accumulation_brings_its_micro_batch_along() -> None:
    reference = {"batch_size": 8, "accumulation": 1, "rank": 8}
    changed = words.changed_hyperparameters({**reference, "accumulation": 4}, reference)
    assert changed == {"batch_size": 8, "accumulation": 4}


def test_clean_removes_what_steers_a_terminal() -> None:
    text = "a\x1b[31mred\x1b[0m\x1b]0;title\x07\r\nb\u202ec\x9b1m\ud800 \u2028d"
    assert words.clean(text) == "ared bc d"


def test_clean_shortens_to_the_limit() -> None:
    assert words.clean("abcdef", 4) == "abc…"


@quick
@given(st.text())
def test_cleaned_text_is_printable_encodable_and_stable(text: str) -> None:
    once = words.clean(text)
    assert words.clean(once) == once
    assert once.encode("utf-8").decode("utf-8") == once
    assert "\x1b" not in once
    assert len(once.splitlines()) <= 1


def test_every_stop_reason_has_words_without_underscores() -> None:
    assert {"_" in words.stop_words(reason) for reason in StopReason} == {False}


def test_a_study_file_with_a_blank_is_one_word_of_a_command() -> None:
    assert words.shell_word("my study.yaml") == "'my study.yaml'"


def test_code_keeps_its_lines_and_spaces_but_steers_nothing() -> None:
    assert words.clean_code("a  \\\n  b\x1b[2J\r\n\x07c\u202e\n") == "a  \\\n  b \nc"
