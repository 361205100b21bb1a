"""What a worker has to say of a trial that is another's by now."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.curves import Curve, Point, Stop, StopReason
from sweeper.search import attributes as attrs
from sweeper.search.claim import Claim
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.search.workers.books import Books
from sweeper.search.workers.holding import Holding
from sweeper.training.outcome import Outcome
from tests.search.fakes import claimed, overwrite_lease, result, spec_at


@pytest.fixture
def lost(tmp_path: Path) -> tuple[StudyStore, Books, Claim]:
    """The baseline, claimed by a worker that was suspended; another has ended it meanwhile."""
    store = StudyStore(spec_at(tmp_path), create=True)
    claim = claimed(store, "sleeper")
    overwrite_lease(store, claim.number, expires_at=0.0)
    other = claimed(store, "other")
    assert other.number == claim.number
    assert store.finish(other, result(val_loss=4.5))
    return store, Books(store, Holding(store), tmp_path / "stop"), claim


def assert_as_the_other_left_it(store: StudyStore, claim: Claim) -> None:
    trial = store.trials()[claim.number]
    assert trial.value == 4.5
    assert trial.user_attrs[attrs.STOP_REASON] == "completed"
    assert trial.intermediate_values == {}
    assert not (trial_folder(store.spec, claim.number) / "error.txt").exists()
    assert not (store.spec.folder / "stop").exists()


def test_its_rungs_are_not_entered(lost: tuple[StudyStore, Books, Claim]) -> None:
    store, books, claim = lost
    books.report(claim, Point(step=1, tokens=256, val_loss=9.0))
    assert_as_the_other_left_it(store, claim)


def test_its_end_is_not_entered(lost: tuple[StudyStore, Books, Claim]) -> None:
    store, books, claim = lost
    curve = Curve((Point(step=1, tokens=256, val_loss=9.0, seconds=1.0),))
    books.finish(claim, Outcome(Stop(StopReason.COMPLETED, "the whole budget"), curve, 8, ()))
    assert_as_the_other_left_it(store, claim)


def test_its_defect_is_not_the_baselines(lost: tuple[StudyStore, Books, Claim]) -> None:
    """Else the study would end, as there is nothing to compare with."""
    store, books, claim = lost
    books.fail(claim, ZeroDivisionError("its files are gone"))
    assert_as_the_other_left_it(store, claim)


def test_a_rung_that_could_not_be_told_when_it_came_is_told_at_the_end(tmp_path: Path) -> None:
    store = StudyStore(spec_at(tmp_path), create=True)
    claim = claimed(store)
    books = Books(store, Holding(store), tmp_path / "stop")
    points = [Point(step, 1000 * step, val_loss=6.0 - step, seconds=1.0) for step in (0, 1, 2)]
    for told in (points[0], points[2]):
        books.report(claim, told)
    stop = Stop(StopReason.COMPLETED, "the whole budget")
    books.finish(claim, Outcome(stop, Curve(tuple(points)), 8, ()))
    assert store.trials()[0].intermediate_values == {0: 6.0, 1000: 5.0, 2000: 4.0}
