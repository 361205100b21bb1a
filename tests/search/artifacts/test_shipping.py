"""What a worker sends: the newest state of its trials, and nothing of a trial that it lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
import torch

from sweeper.curves import Point, write_curve
from sweeper.curves.curve import last_point
from sweeper.search import attributes as attrs
from sweeper.search.artifacts import fetching as fetching_module
from sweeper.search.artifacts import shipping as shipping_module
from sweeper.search.artifacts.archive import newest_checkpoint
from sweeper.search.artifacts.fetching import fetch_ended
from sweeper.search.artifacts.place import Place, PlaceAway
from sweeper.search.artifacts.record import Record
from sweeper.search.artifacts.shipping import Shipping
from sweeper.search.claim import Claim
from sweeper.search.progress import take_snapshot
from sweeper.search.results import load_results
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.training.checkpoint import CheckpointFolder, Progress
from sweeper.training.lost import Lost, keep_lost, read_lost
from tests.search.fakes import claimed, overwrite_lease, result, spec_at

DEADLINE_S = 60.0


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping_module, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(shipping_module, "PATIENCE_SECONDS", 0.0)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[StudyStore, StudyStore]]:
    """The study as two machines see it."""
    (tmp_path / "store").mkdir()
    places = {
        "storage": f"sqlite:///{tmp_path / 'study.db'}",
        "artifacts": str(tmp_path / "store"),
    }
    yield tuple(StudyStore(spec_at(tmp_path / name, **places), create=True) for name in "ab")  # type: ignore[misc]


def train(store: StudyStore, claim: Claim, steps: int) -> None:
    """Let a trial's folder be so many steps on, with a checkpoint there."""
    folder = trial_folder(store.spec, claim.number)
    folder.mkdir(parents=True, exist_ok=True)
    points = [Point(n, n * 10, seconds=n / 10) for n in range(steps + 1)]
    write_curve(folder / "curve.jsonl", points)
    progress = Progress(steps, steps * 10, steps / 10, 8, steps + 1)
    CheckpointFolder(folder / "checkpoint").save(progress, {"weight": torch.zeros(2)})


def record_of(store: StudyStore, number: int = 0) -> Record:
    record = Record.of(store.storage.get_trial(store.trials()[number]._trial_id))
    assert record is not None
    return record


def wait_for(what: Callable[[], object]) -> None:
    tick = threading.Event()
    for _ in range(int(DEADLINE_S / 0.01)):
        if what():
            return
        tick.wait(0.01)
    raise AssertionError("waited in vain")


def names(store: StudyStore) -> set[str]:
    return {path.name for path in store.spec.folder.parent.glob("store/*/*.tar")}


def shipped(store: StudyStore, step: int) -> Callable[[], object]:
    def is_there() -> bool:
        newest = record_of(store).newest
        return newest is not None and newest.step == step

    return is_there


def test_the_newest_two_archives_are_kept_while_a_trial_goes_on_and_one_in_the_end(
    machines: tuple[StudyStore, StudyStore],
) -> None:
    store, other = machines
    claim = claimed(store)
    with Shipping(store, lambda: False) as shipping:
        shipping.bring(claim)
        shipping.begin(claim)
        for steps in (2, 4, 6):
            train(store, claim, steps)
            wait_for(shipped(store, steps))
        record = record_of(store)
        assert [archive.step for archive in record.archives] == [6, 4]
        wait_for(lambda: names(store) == {archive.name for archive in record.archives})
        assert (record.step, record.tokens, record.seconds) == (6, 60, 0.6)
        shipping.deliver(claim)
        assert store.finish(claim, result())
    assert record_of(store).is_final
    assert len(names(store)) == 1
    fetch_ended(other)
    last = last_point(trial_folder(other.spec, 0) / "curve.jsonl")
    assert last is not None and last.step == 6


def test_an_archive_whose_sender_died_before_it_said_so_is_removed(
    machines: tuple[StudyStore, StudyStore],
) -> None:
    store, _ = machines
    claim = claimed(store)
    orphan = f"{claim.number:04d}-{'0' * 32}.tar"
    dead = Record("dead", announced=(orphan,)).as_dict()
    assert store.annotate_held(claim, {attrs.ARTIFACT: dead})
    path = store.spec.folder.parent / "store" / store.spec.folder_name / orphan
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with Shipping(store, lambda: False) as shipping:
        shipping.bring(claim)
        shipping.begin(claim)
        train(store, claim, 2)
        shipping.deliver(claim)
        assert store.finish(claim, result())
    assert names(store) == {archive.name for archive in record_of(store).archives}


def test_archives_whose_worker_died_before_it_removed_them_are_removed(
    machines: tuple[StudyStore, StudyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = machines
    claim = claimed(first)
    with monkeypatch.context() as dying, Shipping(first, lambda: False) as shipping:
        dying.setattr(Place, "remove", lambda *_: False)
        shipping.bring(claim)
        shipping.begin(claim)
        for steps in (2, 4, 6):
            train(first, claim, steps)
            wait_for(shipped(first, steps))
    assert len(names(first)) > 2
    overwrite_lease(first, 0, expires_at=0.0)

    with Shipping(second, lambda: False) as shipping:
        taken = claimed(second)
        shipping.bring(taken)
        shipping.begin(taken)
        shipping.deliver(taken)
        assert second.finish(taken, result())

    assert names(second) == {archive.name for archive in record_of(second).archives}


def test_what_is_removed_is_removed_once(
    machines: tuple[StudyStore, StudyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = machines
    removed = list[str]()

    def remove(place: Place, name: str) -> bool:
        removed.append(name)
        return really_remove(place, name)

    really_remove = Place.remove
    monkeypatch.setattr(Place, "remove", remove)
    claim = claimed(store)
    with Shipping(store, lambda: False) as shipping:
        shipping.begin(claim)
        for steps in range(2, 22, 2):
            train(store, claim, steps)
            wait_for(shipped(store, steps))
    assert len(removed) == len(set(removed)) >= 8
    assert len(record_of(store).announced) <= 1


def test_what_came_whole_to_a_place_that_could_not_say_so_is_removed_after_a_long_outage(
    machines: tuple[StudyStore, StudyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = machines
    tries = list[str]()
    really_put = Place.put

    def put(place: Place, name: str, content: IO[bytes]) -> None:
        tries.append(name)
        if len(tries) < 2 or len(tries) > 20:
            really_put(place, name, content)
        if len(tries) <= 20:
            raise PlaceAway("it is away")

    monkeypatch.setattr(Place, "put", put)
    claim = claimed(store)
    with Shipping(store, lambda: False) as shipping:
        shipping.begin(claim)
        train(store, claim, 2)
        wait_for(shipped(store, 2))
        shipping.deliver(claim)
        assert store.finish(claim, result())
    assert names(store) == {archive.name for archive in record_of(store).archives}


def test_a_worker_that_lost_its_trial_cannot_put_its_state_in_the_place_of_the_newer(
    machines: tuple[StudyStore, StudyStore],
) -> None:
    slow, fast = machines
    lost = claimed(slow, "slow")
    with Shipping(slow, lambda: False) as first, Shipping(fast, lambda: False) as second:
        first.begin(lost)
        train(slow, lost, 2)
        wait_for(shipped(slow, 2))
        overwrite_lease(slow, 0, expires_at=0.0)
        taken = claimed(fast, "fast")
        assert taken.number == lost.number
        second.bring(taken)
        second.begin(taken)
        train(fast, taken, 4)
        wait_for(shipped(fast, 4))
        before = record_of(fast)

        train(slow, lost, 8)
        first.hand_over(lost)
        first.deliver(lost)

        assert record_of(fast) == before
        assert before.owner == "fast"
        wait_for(lambda: names(fast) == {archive.name for archive in before.archives})


def test_what_is_known_to_be_lost_is_counted_where_nothing_of_it_is(
    machines: tuple[StudyStore, StudyStore],
) -> None:
    first, second = machines
    claim = claimed(first)
    with Shipping(first, lambda: False) as shipping:
        shipping.begin(claim)
        train(first, claim, 6)
        folder = trial_folder(first.spec, 0)
        keep_lost(folder, [Point(n, n * 10, seconds=n / 10) for n in range(4)], 1)
        shipping.hand_over(claim)
        first.release(claim)
    for path in first.spec.folder.parent.glob("store/*/*.tar"):
        path.unlink()
    with Shipping(second, lambda: False) as shipping:
        shipping.bring(claimed(second))
    lost = read_lost(trial_folder(second.spec, 0))
    assert (lost.tokens, lost.seconds) == (60 + 30, pytest.approx(0.6 + 0.3))


def test_a_trial_that_is_given_up_has_what_its_workers_elsewhere_told(
    machines: tuple[StudyStore, StudyStore],
) -> None:
    first, second = machines
    for crashes in range(3):
        claim = claimed(first, f"worker {crashes}")
        assert claim.number == 0
        with Shipping(first, lambda: False) as shipping:
            shipping.begin(claim)
            train(first, claim, 6)
            (trial_folder(first.spec, 0) / "crashes.log").write_text("killed by signal 9\n")
            shipping.hand_over(claim)
        first.abandon(claim)

    assert claimed(second).number == 1

    values = second.trials()[0].user_attrs
    assert (values[attrs.STOP_REASON], values[attrs.TOKENS]) == ("error", 60)
    assert values[attrs.EVIDENCE].endswith("killed by signal 9")


def test_a_record_that_leads_elsewhere_is_none(machines: tuple[StudyStore, StudyStore]) -> None:
    archive = {"name": "../../study.db", "sha256": "", "size": 1, "step": 1}
    record = Record("me", lost=Lost()).as_dict() | {"archives": [archive]}
    assert Record.read(record) is None
    assert Record.read({"owner": "me"}) is None
    assert Record.read(Record("me").as_dict()) == Record("me")


def test_a_place_that_stays_away_costs_what_it_has_and_no_more(
    machines: tuple[StudyStore, StudyStore],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(fetching_module, "PATIENCE_SECONDS", 0.0)
    first, second = machines
    claim = claimed(first)
    with Shipping(first, lambda: False) as shipping:
        shipping.begin(claim)
        train(first, claim, 6)
        shipping.hand_over(claim)
        first.release(claim)
    place = first.spec.folder.parent / "store"
    place.rename(place.with_name("elsewhere"))

    with Shipping(second, lambda: False) as shipping:
        taken = claimed(second)
        shipping.bring(taken)
        assert read_lost(trial_folder(second.spec, 0)).tokens == 60
        shipping.begin(taken)
    second.release(taken)

    assert f"cannot be fetched ({place}: No such file or directory)" in caplog.text
    assert "goes on from step 0" in caplog.text
    place.with_name("elsewhere").rename(place)
    with Shipping(first, lambda: False) as shipping:  # what it has is still the furthest
        shipping.bring(claimed(first))
    folder = trial_folder(first.spec, 0)
    assert newest_checkpoint(folder) == 6
    assert read_lost(folder).tokens == 0


def test_how_far_a_trial_elsewhere_is_can_be_seen_here(
    machines: tuple[StudyStore, StudyStore],
) -> None:
    first, second = machines
    claim = claimed(first)
    with Shipping(first, lambda: False) as shipping:
        shipping.begin(claim)
        train(first, claim, 6)
        wait_for(shipped(first, 6))
        (running,) = take_snapshot(second).running
        assert running.point == Point(6, 60, seconds=0.6)
        (trial, *_) = load_results(second).trials
        assert (trial.state, trial.tokens, trial.seconds) == ("running", 60, 0.6)


def test_trials_do_not_wait_in_a_row_for_a_place_that_hangs(
    machines: tuple[StudyStore, StudyStore],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(shipping_module, "RENEW_SECONDS", 60.0)
    store, _ = machines
    tries = []

    def hang(place: Place, name: str, content: object) -> None:
        tries.append(name)
        time.sleep(1.0)
        raise PlaceAway("it hangs")

    monkeypatch.setattr(Place, "put", hang)
    claims = [claimed(store), claimed(store), claimed(store)]
    with Shipping(store, lambda: True) as shipping:
        for claim in claims:
            shipping.begin(claim)
            train(store, claim, 2)
        shipping.hand_over(claims[0])
        shipping.hand_over(claims[1])
        shipping.deliver(claims[2])
    assert len(tries) == 1
    assert caplog.text.count("cannot be sent (it hangs)") == 1
    assert "what trial 2 left is in this machine's folder alone" in caplog.text
