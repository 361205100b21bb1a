"""Which trials are audited, and what an audited trial is spared."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.curves import Point, Stop, StopReason
from sweeper.search import attributes as attrs
from sweeper.search.audit import Audit, Audited, Finding, is_audited, judge
from sweeper.search.results import load_results
from sweeper.search.store import StudyStore
from sweeper.training.lost import Lost
from tests.search.fakes import claimed, result, spec_at, trained
from tests.training.conftest import Script

pytestmark = pytest.mark.usefixtures("stored_in_memory")

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
    stops = [
        watch.update(Point(step=step, tokens=step * 10, seconds=step / 10)) for step in range(1, 6)
    ]
    assert stops == [None, None, None, None, BROKEN]
    assert noted == [Audit(StopReason.SPIKE, 20, "it jumped", seconds=0.2)]
    assert watch.spike_start_step == 1


def test_what_was_noted_before_a_resume_stays(tmp_path: Path) -> None:
    store = StudyStore(spec_at(tmp_path), create=True)
    claim = claimed(store)
    first = Audit(StopReason.PEERS, 100, "others were better", seconds=0.1)
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


def test_what_was_lost_by_then_is_noted_and_what_is_lost_later_was_for_the_audit(
    tmp_path: Path,
) -> None:
    """Lost 500 before the stop at 2,000, 900 after it; it ends at 4,000."""
    store = StudyStore(spec_at(tmp_path), create=True)
    claim = claimed(store)
    trained(store, claim.number, 1_500, kept=1_000)
    store.note_audit(claim, Audit(StopReason.PEERS, 2_000, "", seconds=2.0))
    trained(store, claim.number, 3_900, kept=3_000)
    store.finish(claim, result())

    found = load_results(store).trials[0]

    assert found.audit is not None
    assert found.audit.lost == Lost(500, 0.5)
    extra = found.audit.extra(4_000, 4.0, found.lost)
    assert (extra.tokens, extra.seconds) == (2_000 + 900, pytest.approx(2.0 + 0.9))


def test_audit_of_an_earlier_version_is_read_and_shares_the_time_by_tokens() -> None:
    old = Audit.read({"reason": "peers", "tokens": 1_000, "evidence": "others were better"})
    assert old is not None
    assert old.extra(4_000, 8.0, Lost()) == Lost(3_000, 6.0)
    assert Audit.read(old.as_dict()) == old
