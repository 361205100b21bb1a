"""A diagnosis as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from enum import Enum

import pytest

from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.reports.diagnosis.record import diagnosis_json, diagnosis_record, plain

from ..fakes import HOSTILE
from . import fakes
from .test_page import compare_with_golden


def read(diagnosis: Diagnosis) -> dict[str, object]:
    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    record = json.loads(diagnosis_json(diagnosis), parse_constant=refuse)
    assert isinstance(record, dict)
    return record


def test_json_is_as_agreed() -> None:
    compare_with_golden("full.json", diagnosis_json(fakes.full()))


def test_findings_causes_and_recommendations_have_their_keys() -> None:
    record = diagnosis_record(fakes.full())
    assert {"source", "points", "last_good_step", "timeline", "speed", "gap", "test"} <= set(record)
    (spike, *_) = read(fakes.full())["findings"]  # type: ignore[misc]
    assert list(spike) == [
        "kind",
        "start_step",
        "end_step",
        "severity",
        "recovered",
        "evidence",
        "numbers",
    ]
    assert (spike["kind"], spike["start_step"], spike["recovered"]) == ("spike", 400, True)


def test_every_part_of_a_diagnosis_is_there() -> None:
    names = {field.name for field in fields(Diagnosis)} - {"case"}
    assert names <= set(diagnosis_record(fakes.full()))


@pytest.mark.parametrize("make", [fakes.full, fakes.healthy, fakes.not_finite])
def test_it_is_strict_json_in_plain_ascii(make: Callable[[], Diagnosis]) -> None:
    read(make())
    assert diagnosis_json(make()).isascii()
    assert diagnosis_json(make()) == diagnosis_json(make())


def test_numbers_that_json_lacks_are_strings() -> None:
    (finding,) = read(fakes.not_finite())["findings"]  # type: ignore[misc]
    assert finding["numbers"] == {"first": "nan"}


def test_names_come_back_as_they_were_and_cannot_steer_a_terminal() -> None:
    text = diagnosis_json(fakes.hostile(HOSTILE))
    assert "\x1b" not in text
    assert json.loads(text)["source"] == HOSTILE


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (True, True),
        (Colour.RED, "red"),
        ((1, (2.5, None)), [1, [2.5, None]]),
        ({"b", "a"}, ["a", "b"]),
        ({1: {2: "x"}}, {"1": {"2": "x"}}),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_values_become_what_json_knows(value: object, expected: object) -> None:
    assert plain(value) == expected
