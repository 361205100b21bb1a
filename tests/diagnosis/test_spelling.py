from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.diagnosis import spelling
from sweeper.study.document import value_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2e-5, "2e-5"),
        (1.5e-5, "1.5e-5"),
        (0.001, "1e-3"),
        (-0.001, "-1e-3"),
        (0.1, "0.1"),
        (16.0, "16.0"),
        (256, "256"),
        (None, "null"),
        (True, "true"),
        ("cosine", "cosine"),
        ("embeddings+norms", "embeddings+norms"),
        ("", '""'),
        ("true", '"true"'),
        ("12", '"12"'),
        ("1e3", '"1e3"'),
        ("~", '"~"'),
        ("builtin:tiny", "builtin:tiny"),
        ("../logs/run.csv", "../logs/run.csv"),
        ("a: b", '"a: b"'),
        ("a #b", '"a #b"'),
        ("- a", '"- a"'),
    ],
)
def test_values_as_a_person_writes_them(value: object, text: str) -> None:
    assert spelling.value_text(value) == text


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
)
def test_every_value_reads_back_to_itself(value: object) -> None:
    data, problems = value_of(f"key: {spelling.value_text(value)}")

    assert problems == []
    assert data == {"key": value}
    assert isinstance(data, dict)
    assert type(data["key"]) is type(value)


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_a_comment_is_nothing_but_comment(text: str) -> None:
    lines = spelling.comment(text, indent=2)

    assert all(line.startswith("  # ") and line.isprintable() for line in lines)
    assert "".join("".join(lines).split()).replace("#", "") == "".join(
        spelling.printable(text).split()
    ).replace("#", "")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (240_000, "240k"),
        (10_240_000, "10.24M"),
        (2_000_000_000, "2G"),
        (1_230, "1.23k"),
        (1_234_567, "1234567"),
        (999, "999"),
    ],
)
def test_tokens_keep_every_digit(count: int, text: str) -> None:
    assert spelling.tokens_text(count) == text


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 2**53))
def test_tokens_read_back(count: int) -> None:
    from sweeper.study.quantities import Tokens

    text = spelling.tokens_text(count)

    assert Tokens().check(int(text) if text.isdigit() else text) == count


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (2e-5, "2e-5"), ("cosine", "cosine"), (8, "8")]
)
def test_a_variable_is_plain_text(value: object, text: str) -> None:
    assert spelling.variable_text(value) == text
