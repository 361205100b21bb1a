"""Claims in hand: renewed, lost one by one, and left to others at the end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError

from sweeper.search import attributes as attrs
from sweeper.search import leases
from sweeper.search.leases import Lease
from sweeper.search.store import StudyStore
from sweeper.search.workers import holding as holding_module
from sweeper.search.workers.holding import Holding
from tests.search.fakes import claimed, overwrite_lease, result, spec_at

pytestmark = pytest.mark.usefixtures("stored_in_memory")

DEADLINE_S = 60.0


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return StudyStore(spec_at(tmp_path), create=True)


def lease_of(store: StudyStore, number: int) -> Lease | None:
    return Lease.read(store.trials()[number].user_attrs.get(attrs.LEASE))


def test_all_claims_are_renewed_and_each_is_lost_for_itself(store: StudyStore) -> None:
    one, two = claimed(store), claimed(store)
    with Holding(store) as holding:
        holding.add(one)
        holding.add(two)
        overwrite_lease(store, one.number, owner="another")
        overwrite_lease(store, two.number, expires_at=0.0)
        holding.renew()
        assert (holding.has_lost(one), holding.has_lost(two)) == (True, False)
        kept = lease_of(store, two.number)
        assert kept is not None
        assert kept.expires_at > time.time()


def test_a_trial_that_comes_back_is_not_lost_any_more(store: StudyStore) -> None:
    one = claimed(store)
    with Holding(store) as holding:
        holding.add(one)
        overwrite_lease(store, one.number, owner="another")
        holding.renew()
        holding.release(one)
        overwrite_lease(store, one.number, expires_at=0.0)
        holding.add(claimed(store))
        assert not holding.has_lost(one)


def test_who_may_have_slept_looks_before_anything_else(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, kept = claimed(store), claimed(store)
    with Holding(store) as holding:
        holding.add(lost)
        holding.add(kept)
        overwrite_lease(store, lost.number, owner="another")
        assert not holding.has_lost(lost)  # as it was renewed a moment ago
        monkeypatch.setattr(leases, "LEASE_SECONDS", 0.0)  # and now half a term is over
        assert (holding.has_lost(lost), holding.has_lost(kept)) == (True, False)


def test_a_server_that_is_away_takes_no_trial(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> bool:
        raise StorageInternalError

    claim = claimed(store)
    with Holding(store) as holding:
        holding.add(claim)
        monkeypatch.setattr(leases, "LEASE_SECONDS", 0.0)
        with monkeypatch.context() as patched:
            patched.setattr(store, "still_holds", away)
            assert not holding.has_lost(claim)


def test_what_is_in_hand_at_the_end_is_left_to_others_but_no_more(store: StudyStore) -> None:
    ended, lost, kept = claimed(store), claimed(store), claimed(store)
    with Holding(store) as holding:
        for claim in (ended, lost, kept):
            holding.add(claim)
        assert store.finish(ended, result())
        holding.drop(ended)
        overwrite_lease(store, lost.number, owner="another")
    assert lease_of(store, kept.number) is None
    another = lease_of(store, lost.number)
    assert another is not None
    assert another.owner == "another"
    assert store.trials()[ended.number].state.is_finished()


def test_a_broken_storage_hides_no_error_at_the_end(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageInternalError("gone")

    with pytest.raises(ZeroDivisionError), Holding(store) as holding:
        holding.add(claimed(store))
        monkeypatch.setattr(store, "release", fail)
        raise ZeroDivisionError


def test_leases_are_renewed_while_nobody_asks_even_after_a_failure(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = store.renew, iter([True])

    def renew(claim: object) -> bool:
        if next(failures, False):
            raise StorageInternalError("locked")
        return real(claim)  # type: ignore[arg-type]

    monkeypatch.setattr(holding_module, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(store, "renew", renew)
    claim = claimed(store)
    overwrite_lease(store, claim.number, expires_at=0.0)
    deadline = time.monotonic() + DEADLINE_S
    with Holding(store) as holding:
        holding.add(claim)
        while (lease := lease_of(store, claim.number)) is None or lease.expires_at == 0.0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
