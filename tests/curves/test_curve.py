from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves import Curve, Point, point_from_json, point_to_json, read_curve, write_curve
from sweeper.curves.curve import last_point
from sweeper.errors import CheckpointError

values = st.none() | st.floats(allow_nan=True, allow_infinity=True)
points = st.builds(
    Point,
    step=st.integers(0, 10**9),
    tokens=st.integers(0, 10**12),
    train_loss=values,
    val_loss=values,
    learning_rate=values,
    grad_norm=values,
    seconds=values,
)


def bits(point: Point) -> list[object]:
    """A point's fields, floats by their bits; every NaN is the same NaN."""

    def of(value: float | None) -> object:
        if isinstance(value, float):
            return "nan" if math.isnan(value) else struct.pack("<d", value)
        return value

    return [of(getattr(point, name)) for name in Point.__slots__]


@settings(deadline=None, derandomize=True)
@given(points)
def test_a_point_comes_back_to_the_last_bit(point: Point) -> None:
    assert bits(point_from_json(point_to_json(point))) == bits(point)


@settings(deadline=None, derandomize=True)
@given(points)
def test_a_line_is_json_that_strict_parsers_read(point: Point) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    line = point_to_json(point)

    assert "\n" not in line
    assert json.loads(line, parse_constant=refuse)["step"] == point.step


def test_a_curve_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    written = [Point(0, 0, val_loss=6.25), Point(1, 64, train_loss=6.1, grad_norm=math.inf)]

    write_curve(path, written)

    assert read_curve(path) == Curve(tuple(written))


def test_an_empty_curve_has_no_points(tmp_path: Path) -> None:
    write_curve(tmp_path / "curve.jsonl", [])

    assert len(read_curve(tmp_path / "curve.jsonl")) == 0


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_half_written_last_line_is_left_out(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "curve.jsonl"
    write_curve(path, [Point(0, 0, val_loss=6.25)])
    last = point_to_json(Point(1, 64, train_loss=6.123456789, learning_rate=0.001))
    with path.open("a") as file:
        file.write(last[:cut])

    assert [point.step for point in read_curve(path)] == [0]


@pytest.mark.parametrize(
    "damage",
    [
        b'{"step": 1, "tok',
        b"[1, 2]",
        b"null",
        b'{"step": 1}',
        b'{"step": 1, "tokens": 2, "colour": 3}',
        b'{"step": 1, "tokens": 2, "val_loss": "red"}',
        b'{"step": 1, "tok\xc3\x28ens": 2}',
    ],
)
def test_a_damaged_line_is_refused_with_its_number(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "curve.jsonl"
    whole = point_to_json(Point(0, 0)).encode()
    path.write_bytes(whole + b"\n" + damage + b"\n" + whole + b"\n")

    with pytest.raises(CheckpointError, match=r"curve\.jsonl:2: damaged curve line"):
        read_curve(path)


def test_a_whole_line_at_the_end_must_be_a_point(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    path.write_text(point_to_json(Point(0, 0)) + '\n{"step": 1}\n')

    with pytest.raises(CheckpointError, match=":2:"):
        read_curve(path)


def test_the_last_point_of_a_growing_file(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    assert last_point(path) is None

    long = dict(train_loss=1 / 3, val_loss=2 / 3, learning_rate=1e-4, grad_norm=1 / 7, seconds=0.1)
    with path.open("w") as file:
        for step in range(40):
            line = point_to_json(Point(step, step * 64, **long)) + "\n"
            file.write(line[:30])
            file.flush()
            seen = last_point(path)
            assert (None if seen is None else seen.step) == (step - 1 if step else None)
            file.write(line[30:])
            file.flush()
            seen = last_point(path)
            assert seen == Point(step, step * 64, **long)


def test_a_series_has_only_what_was_recorded() -> None:
    curve = Curve((Point(0, 0, val_loss=6.0), Point(1, 64, train_loss=5.0), Point(2, 128)))

    tokens, losses = curve.series("train_loss")

    assert tokens.tolist() == [64]
    assert losses.tolist() == [5.0]
    assert [point.step for point in curve.evaluations()] == [0]


def test_the_last_validation_loss_is_the_newest_finite_one() -> None:
    curve = Curve((Point(0, 0, val_loss=6.0), Point(1, 1, val_loss=5.0), Point(2, 2, val_loss=NAN)))

    assert curve.last_val_loss == 5.0
    assert Curve((Point(0, 0, val_loss=math.inf),)).last_val_loss is None


NAN = math.nan
