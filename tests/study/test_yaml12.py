"""Plain scalars by YAML 1.2, and documents that are refused."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.study.yaml12 import compose, scalar_value

from .conftest import MINIMAL, Problems


def value(text: str) -> object:
    node = compose(text)
    assert isinstance(node, yaml.ScalarNode)
    return scalar_value(node)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2e-5", 2e-5),
        ("1e-1", 0.1),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("+.inf", math.inf),
        ("-.INF", -math.inf),
        ("12", 12),
        ("012", 12),
        ("-7", -7),
        ("0o14", 12),
        ("0x1F", 31),
        ("0x1e5", 0x1E5),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("0b11", "0b11"),
        ("2020-01-01", "2020-01-01"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("tRue", "tRue"),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("nil", "nil"),
        ("=", "="),
        ("'2e-5'", "2e-5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("!!int 5", 5),
        ("!!float 5", 5.0),
        ("e5", "e5"),
        (".", "."),
        ("1e", "1e"),
        ("40k", "40k"),
        ("5%", "5%"),
    ],
)
def test_scalar(text: str, expected: object) -> None:
    got = value(text)
    assert got == expected
    assert type(got) is type(expected)


def test_nan() -> None:
    got = value(".NaN")
    assert isinstance(got, float)
    assert math.isnan(got)


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None, derandomize=True)
def test_every_float_that_python_prints_is_read_back(number: float) -> None:
    got = value(repr(number))
    assert isinstance(got, float)
    assert got.hex() == number.hex()


@given(st.integers())
@settings(deadline=None, derandomize=True)
def test_every_whole_number_is_read_back(number: int) -> None:
    assert value(str(number)) == number


NOT_A_STUDY = [
    (b"", "1:1  expected a mapping of keys to values, got nothing (see `sweeper schema`)"),
    (b"# only\n", "1:1  expected a mapping of keys to values, got nothing (see `sweeper schema`)"),
    (b"\n - a\n", "2:2  expected a mapping of keys to values, got a list (see `sweeper schema`)"),
    (b"hi", "1:1  expected a mapping of keys to values, got a single value (see `sweeper schema`)"),
    (b"name: caf\xe9\n", "1:10  byte 0xE9 is not UTF-8 (save the file as UTF-8)"),
    ("name: a".encode("utf-16"), "1:1  byte 0xFF is not UTF-8 (save the file as UTF-8)"),
    (b"name: a\nseed: \x07\n", "2:7  the character U+0007 may not stand in YAML"),
    (
        b"name: a\n---\nname: b\n",
        "2:1  a second document begins here (allowed: one study in a file)",
    ),
    (
        b"search:\n\tsampler: tpe\n",
        "2:1  not valid YAML while scanning for the next token: found character '\\t' that cannot "
        "start any token; indent with spaces, not tabs",
    ),
    (
        b"name: [a, b\nseed: 1\n",
        "2:5  not valid YAML while parsing a flow sequence: expected ',' or ']', but got ':'",
    ),
    (b"seed: *no\n", "1:7  not valid YAML: found undefined alias 'no'"),
    (b"x: " + b"[" * 100_000, "1:53  not valid YAML: nested deeper than 50 levels"),
    (b"x: [" + b"1," * 10_001 + b"]", "1:19999  not valid YAML: more than 10000 values"),
]


@pytest.mark.parametrize(("text", "expected"), NOT_A_STUDY)
def test_text_that_is_no_study(text: bytes, expected: str, problems: Problems) -> None:
    assert problems(text) == [expected]


UNREADABLE = [
    ("<<: {seed: 1}", "6:1  <<: merge keys are not supported (write the keys out)"),
    ("? [a, b]\n: 1", "6:3  a list or mapping cannot be a key (allowed: a name)"),
    ("{a: 1}: 1", "6:1  a list or mapping cannot be a key (allowed: a name)"),
    ("12: 1", "6:1  12 cannot be a key (allowed: a name)"),
    ("true: 1", "6:1  true cannot be a key (allowed: a name)"),
    ("? \n: 1", "6:2  an empty text cannot be a key (allowed: a name)"),
    (
        "seed: !!python/object/apply:os.system [ls]",
        "6:7  seed: the tag !!python/object/apply:os.system is not supported "
        "(allowed: values without a tag)",
    ),
    ("seed: !x 5", "6:7  seed: the tag !x is not supported (allowed: values without a tag)"),
    (
        "trials: !!set {a}",
        "6:9  trials: the tag !!set is not supported (allowed: values without a tag)",
    ),
    ("seed: !!int five", "6:7  seed: 'five' is no int (allowed: values without a tag)"),
    (
        "seed: " + "9" * 5000,
        "6:7  seed: a number of 5000 digits is too long (allowed: at most 1000)",
    ),
    (
        "workers: &w {count: *w}",
        "6:10  workers.count: an alias to a value that contains it (write the value out)",
    ),
    (
        "seed: 1\nseed: 1",
        "7:1  seed: this key stands twice, first at line 6 (allowed: once)",
    ),
]


@pytest.mark.parametrize(("line", "expected"), UNREADABLE)
def test_value_that_cannot_be_read_is_the_only_problem(
    line: str, expected: str, problems: Problems
) -> None:
    assert problems(MINIMAL + line + "\n") == [expected]


def test_aliases_that_unfold_without_end_are_refused(problems: Problems) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert problems("\n".join(lines)) == ["1:14  aliases unfold to more than 10000 values"]


def test_chain_of_aliases_is_refused(problems: Problems) -> None:
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 400))]
    assert problems("\n".join(lines)) == ["1:10  aliases nest deeper than 50 levels"]


def test_alias_of_a_value_is_read(problems: Problems) -> None:
    more = "evaluate: {block_size: &b 64}\nhypotheses: [{name: a, change: {block_size: *b}}]\n"
    assert problems(MINIMAL + more) == []


@pytest.mark.parametrize("prefix", [b"\xef\xbb\xbf", b"---\n", b"%YAML 1.2\n---\n"])
def test_byte_order_mark_and_document_start_are_fine(prefix: bytes, problems: Problems) -> None:
    assert problems(prefix + MINIMAL.encode()) == []


def test_windows_line_ends_keep_their_places(problems: Problems) -> None:
    (problem,) = problems((MINIMAL + "seed: x\n").replace("\n", "\r\n").encode())
    assert problem.startswith("6:7  seed: expected a whole number, got the text 'x'")
