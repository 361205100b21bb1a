"""What a storage says of a trial's archives, on every kind: by its holder, and by who ended it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.curves import Point, write_curve
from sweeper.search import attributes as attrs
from sweeper.search.artifacts import shipping as shipping_module
from sweeper.search.artifacts.fetching import fetch_ended
from sweeper.search.artifacts.record import Record, newest_record
from sweeper.search.artifacts.shipping import Shipping
from sweeper.search.claim import Claim
from sweeper.search.storage import newest_point, trial_folder
from sweeper.search.store import StudyStore
from sweeper.search.workers.timesheets import Timesheet, worker_seconds
from sweeper.study import StudySpec
from tests.search.fakes import claimed, overwrite_lease, result, spec_at


@pytest.fixture
def specs(storage_url: str, tmp_path: Path) -> tuple[StudySpec, StudySpec]:
    """The study on two machines, each with a folder of its own for it."""
    url = f"sqlite:///{tmp_path / 'shared.db'}" if storage_url == "default" else storage_url
    name = f"{tmp_path.parent.name} {tmp_path.name}"

    def on(machine: str) -> StudySpec:
        return spec_at(tmp_path, storage=url, name=name, artifacts="./store", output=machine)

    return on("one"), on("two")


@pytest.fixture
def stores(specs: tuple[StudySpec, StudySpec], tmp_path: Path) -> tuple[StudyStore, StudyStore]:
    (tmp_path / "store").mkdir()
    return StudyStore(specs[0], create=True), StudyStore(specs[1], create=True)


def train(store: StudyStore, claim: Claim, steps: int) -> None:
    folder = trial_folder(store.spec, claim.number)
    folder.mkdir(parents=True, exist_ok=True)
    write_curve(folder / "curve.jsonl", [Point(n, n * 10, seconds=0.1 * n) for n in range(steps)])


def test_only_the_holder_may_say_what_is_the_newest(
    stores: tuple[StudyStore, StudyStore],
) -> None:
    one, two = stores
    lost = claimed(one, "one")
    overwrite_lease(one, lost.number, expires_at=0.0)
    taken = claimed(two, "two")
    assert two.annotate_held(taken, {attrs.ARTIFACT: Record("two").as_dict()})
    assert not one.annotate_held(lost, {attrs.ARTIFACT: Record("one").as_dict()})
    assert two.finish(taken, result())
    assert not two.annotate_held(taken, {attrs.ARTIFACT: Record("late").as_dict()})
    trial = two.trials()[taken.number]
    assert Record.of(trial) == Record("two")
    assert trial.user_attrs[attrs.ENDED_BY] == "two"


def test_what_could_not_be_sent_before_the_end_is_told_afterwards(
    stores: tuple[StudyStore, StudyStore], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shipping_module, "PATIENCE_SECONDS", 0.0)
    one, two = stores
    (tmp_path / "store").rmdir()
    claim = claimed(one, "one")
    with Shipping(one, lambda: True) as shipping:
        shipping.begin(claim)
        train(one, claim, 5)
        shipping.deliver(claim)
        assert one.finish(claim, result())
    fetch_ended(two)
    assert newest_point(two.spec, claim.number) is None

    (tmp_path / "store").mkdir()
    with Shipping(one, lambda: True):
        pass

    fetch_ended(two)
    newest = newest_point(two.spec, claim.number)
    assert newest is not None and newest.step == 4
    record = newest_record(two.trials()[claim.number], two.study.user_attrs)
    assert record is not None and record.is_final


def test_workers_tell_their_time(stores: tuple[StudyStore, StudyStore]) -> None:
    one, two = stores
    for store, owner in ((one, "first"), (two, "second")):

        def tell(seconds: float, store: StudyStore = store, owner: str = owner) -> None:
            store.study.set_user_attr(f"{attrs.WORKER_SECONDS}{owner}", seconds)

        with Timesheet(store.spec, owner, tell):
            pass
    told = two.study.user_attrs
    whole = worker_seconds(one.spec, told)
    assert whole == worker_seconds(two.spec, told)
    assert whole == pytest.approx(worker_seconds(one.spec) + worker_seconds(two.spec))
