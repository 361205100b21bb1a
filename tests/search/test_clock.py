"""A study's wall clock, whoever works on it and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.search import attributes as attrs
from sweeper.search import clock as clock_module
from sweeper.search.clock import StudyClock
from sweeper.search.store import StudyStore
from tests.search.fakes import spec_at

pytestmark = pytest.mark.usefixtures("stored_in_memory")


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1e9 + self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    fake = Time()
    monkeypatch.setattr(clock_module, "time", fake)
    return fake


def test_time_goes_on_from_what_was_spent_and_counts_once_side_by_side(
    tmp_path: Path, time: Time
) -> None:
    store = StudyStore(spec_at(tmp_path, budget={"wall_clock": "1min"}), create=True)
    first, second = StudyClock(store), StudyClock(store)
    time.now += 20
    first.save()
    second.save()
    time.now += 5
    assert (first.spent_s, first.left_s, first.deadline) == (25.0, 35.0, 1e9 + 160.0)

    later = StudyClock(store)
    assert later.spent_s == 20.0
    later.save()  # less than the others know of
    first.save()
    later.save()
    assert store.study.user_attrs[attrs.SECONDS_SPENT] == 25.0
    time.now += 100
    assert first.left_s == 0.0


def test_without_a_limit_there_is_no_deadline(tmp_path: Path) -> None:
    clock = StudyClock(StudyStore(spec_at(tmp_path), create=True))
    assert (clock.left_s, clock.deadline) == (None, None)
