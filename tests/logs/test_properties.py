"""What holds for every curve and every way in which its log arrives."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sweeper.curves import Point, write_curve
from sweeper.errors import LogError
from sweeper.logs import LiveReader, read_log
from sweeper.logs.placeholders import drop_placeholders
from tests.logs.writers import LIVE_WRITERS, ROWS, Writer

FLOATS = ("train_loss", "val_loss", "learning_rate", "grad_norm", "loss_scale", "epoch")
numbers = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])
values = st.none() | numbers


@st.composite
def curves(draw: st.DrawFn) -> list[Point]:
    steps = sorted(draw(st.sets(st.integers(0, 10**9), min_size=1, max_size=12)))
    points = []
    for step in steps:
        floats = {name: draw(values) for name in FLOATS if name != "train_loss"}
        points.append(Point(step, step * 8, train_loss=draw(numbers), **floats))
    losses = {name: [getattr(point, name) for point in points] for name in FLOATS[:2]}
    assume(not drop_placeholders(losses)[0])  # which test_placeholders is about
    return points


def text(points: list[Point]) -> list[str]:
    return [repr(point) for point in points]


@settings(deadline=None, derandomize=True)
@given(curves())
def test_a_curve_written_as_csv_reads_back_exactly(points: list[Point]) -> None:
    names = ("step", "tokens", *FLOATS)
    rows = [[getattr(point, name) for name in names] for point in points]
    lines = [",".join("" if cell is None else repr(cell) for cell in row) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.csv"
        path.write_text("\n".join([",".join(names), *lines]) + "\n")
        assert text(list(read_log(path).curve)) == text(points)


@settings(deadline=None, derandomize=True)
@given(curves())
def test_our_own_curves_read_back_exactly(points: list[Point]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_curve(Path(folder) / "curve.jsonl", points)
        assert text(list(read_log(Path(folder)).curve)) == text(points)


@settings(deadline=None, derandomize=True)
@given(curves())
def test_a_curve_written_as_columns_reads_back_exactly(points: list[Point]) -> None:
    columns = {name: [getattr(p, name) for p in points] for name in ("step", "tokens", *FLOATS)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.json"
        path.write_text(json.dumps(columns))
        assert text(list(read_log(path).curve)) == text(points)


def merged(points: list[Point]) -> dict[int, dict[str, float]]:
    by_step: dict[int, dict[str, float]] = {}
    for point in points:
        said = {f.name: getattr(point, f.name) for f in fields(point) if f.name in FLOATS}
        by_step.setdefault(point.step, {}).update({k: v for k, v in said.items() if v is not None})
    return by_step


@pytest.mark.parametrize("write", LIVE_WRITERS, ids=lambda write: write.__name__)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@settings(deadline=None, derandomize=True, max_examples=20)
@given(cuts=st.lists(st.integers(0, 3000), max_size=8))
def test_a_log_says_the_same_however_it_arrives(
    write: Writer, newline: str, cuts: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder))
        content = path.read_text().replace("\n", newline)
        whole = list(read_log(path).curve)
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    pieces = [content[a:b] for a, b in pairwise(edges)]

    at_once, in_pieces = LiveReader(), LiveReader()
    expected = at_once.feed(content) + at_once.close()
    found = [point for piece in pieces for point in in_pieces.feed(piece)] + in_pieces.close()

    assert text(found) == text(expected)
    assert merged(found) == merged(whole)
    assert [step for step, said in merged(found).items() if said] == [row[0] for row in ROWS]


@settings(deadline=None, derandomize=True)
@given(st.lists(st.text(alphabet=" \t{}[]()<>|/:=,.;'\"0123456789eElostpivanr%-_\r\n\x1b\x00é")))
def test_a_live_reader_never_raises(pieces: list[str]) -> None:
    reader = LiveReader()
    points = [point for piece in pieces for point in reader.feed(piece)] + reader.close()

    assert all(isinstance(point.step, int) for point in points)


PIECES = (
    *("step", "loss", "val_loss", "iter 5: loss 2.5", "1,2,3", "nan", "{", "}", '{"step": 1}', "["),
    *(
        "{'loss': 1}",
        "\n",
        "\r",
        ",",
        ";",
        "\t",
        '"',
        "\x00",
        "\x1b[31m",
        "9" * 400,
        "1e999",
        "run",
    ),
    *('{"step": 1e400, "loss": 2}', '{"loss": "x"}', "step,loss", "-5", "key,value,step", "\ufeff"),
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
def test_any_text_is_a_log_or_a_clear_error(content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.log"
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        try:
            log = read_log(path)
        except LogError as error:
            assert "run.log" in str(error)
        else:
            steps = [point.step for point in log.curve]
            assert steps == sorted(set(steps))
            assert steps
