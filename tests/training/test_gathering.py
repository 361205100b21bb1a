"""Whole points from the parts in which a log tells them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves import Point
from sweeper.training.gathering import Gathering, merged, news_of

PARTS = st.lists(
    st.builds(
        Point,
        step=st.integers(0, 5),
        tokens=st.just(0),
        train_loss=st.none() | st.sampled_from([1.0, 2.0]),
        val_loss=st.none() | st.sampled_from([3.0, 4.0]),
    ),
    max_size=20,
).map(lambda parts: sorted(parts, key=lambda part: part.step))


def gathering() -> Gathering:
    clock: Iterator[int] = count()
    return Gathering(64, lambda _: float(next(clock)))


def test_a_step_is_whole_when_a_later_one_begins() -> None:
    gather = gathering()
    assert gather.add([Point(0, 0, train_loss=2.0)]) == []
    assert gather.add([Point(0, 0, val_loss=3.0)]) == []
    assert gather.add([Point(5, 0, train_loss=1.0)]) == [
        Point(0, 0, train_loss=2.0, val_loss=3.0, seconds=1.0)
    ]
    assert gather.flush() == [Point(5, 320, train_loss=1.0, seconds=2.0)]
    assert gather.flush() == []


def test_what_a_log_says_of_tokens_and_time_counts() -> None:
    gather = gathering()
    gather.add(
        [Point(5, 0, train_loss=1.0, seconds=9.5), Point(5, 100, val_loss=2.0, seconds=9.75)]
    )
    assert gather.flush() == [Point(5, 100, train_loss=1.0, val_loss=2.0, seconds=9.75)]


@given(parts=PARTS, cuts=st.lists(st.integers(0, 20), max_size=4))
@settings(deadline=None, derandomize=True)
def test_how_the_output_was_cut_does_not_count(parts: list[Point], cuts: list[int]) -> None:
    """Nor do pauses in it: a late part is merged into the point that was made before it."""
    whole = gathering()
    expected = [*whole.add(parts), *whole.flush()]
    gather, found = gathering(), list[Point]()
    edges = [0, *sorted(cuts), len(parts)]
    for start, end in pairwise(edges):
        for point in [*gather.add(parts[start:end]), *gather.flush()]:
            if found and found[-1].step == point.step:
                found[-1] = merged(found[-1], point)
            else:
                found.append(point)
    assert [(p.step, p.tokens, p.train_loss, p.val_loss) for p in found] == [
        (p.step, p.tokens, p.train_loss, p.val_loss) for p in expected
    ]


@pytest.mark.parametrize(
    ("later", "news"),
    [
        (Point(5, 320, val_loss=2.0), Point(5, 320, val_loss=2.0)),
        (Point(5, 320, train_loss=1.5), None),
        (Point(5, 320, learning_rate=0.1), None),
        (Point(5, 320, train_loss=9.0, grad_norm=3.0), Point(5, 320, grad_norm=3.0)),
    ],
)
def test_news_are_what_was_not_judged_before(later: Point, news: Point | None) -> None:
    assert news_of(later, Point(5, 320, train_loss=1.0)) == news
