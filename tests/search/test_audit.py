"""Which trials are audited, and what an audited trial is spared."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.curves import Point, Stop, StopReason
from sweeper.search import attributes as attrs
from sweeper.search.audit import Audit, Audited, Finding, is_audited, judge
from sweeper.search.store import StudyStore
from tests.search.fakes import claimed, spec_at
from tests.training.conftest import Script

SPIKE = Stop(StopReason.SPIKE, "it jumped")
BROKEN = Stop(StopReason.NON_FINITE, "NaN")


def test_the_draw_is_the_share_and_goes_by_seed_and_number(tmp_path: Path) -> None:
    spec = spec_at(tmp_path, prune={"audit": "25%"})
    drawn = [is_audited(spec, number) for number in range(2_000)]
    assert drawn == [is_audited(spec, number) for number in range(2_000)]
    assert sum(drawn) == pytest.approx(500, abs=60)
    other = spec_at(tmp_path, prune={"audit": "25%"}, seed=4)
    assert drawn != [is_audited(other, number) for number in range(2_000)]
    assert not any(is_audited(spec_at(tmp_path), number) for number in range(100))
    assert all(is_audited(spec_at(tmp_path, prune={"audit": 1.0}), n) for n in range(100))


def test_the_first_stop_is_noted_and_none_is_obeyed_but_of_a_broken_loss() -> None:
    noted: list[Audit] = []
    plateau = Stop(StopReason.PLATEAU, "flat")
    watch = Audited(Script({2: SPIKE, 3: plateau, 5: BROKEN}, {1: 1}), noted.append)
    stops = [watch.update(Point(step=step, tokens=step * 10)) for step in range(1, 6)]
    assert stops == [None, None, None, None, BROKEN]
    assert noted == [Audit(StopReason.SPIKE, 20, "it jumped")]
    assert watch.spike_start_step == 1


def test_what_was_noted_before_a_resume_stays(tmp_path: Path) -> None:
    store = StudyStore(spec_at(tmp_path), create=True)
    claim = claimed(store)
    first = Audit(StopReason.PEERS, 100, "others were better")
    store.note_audit(claim, first)
    store.note_audit(claim, Audit(StopReason.SPIKE, 200, "it jumped"))
    assert Audit.read(store.trials()[0].user_attrs[attrs.AUDIT]) == first


def test_good_ends_are_false_prunes_and_what_failed_says_nothing() -> None:
    ends: list[tuple[StopReason | None, float | None]] = [
        (StopReason.COMPLETED, 4.0),
        (StopReason.COMPLETED, 4.04),
        (StopReason.COMPLETED, 4.05),
        (StopReason.NON_FINITE, 4.0),
        (StopReason.ERROR, None),
        (None, 3.0),
    ]
    assert judge(ends, best=4.0) == Finding(num_audited=4, num_false=2)
