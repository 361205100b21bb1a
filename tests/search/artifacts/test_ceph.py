"""Workers that share a bucket of a real server, Ceph's, which is killed, hangs and refuses them.

What it has in common with other places is in `test_place` and `test_two_machines`.
"""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.search import attributes as attrs
from sweeper.search.artifacts import fetching, shipping
from sweeper.search.artifacts.place import NotThere, PlaceAway
from sweeper.search.results import load_results
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec
from tests.ceph import SECRET
from tests.search.artifacts.buckets import CEPH, Bucket
from tests.search.artifacts.machines import eager_worker, join, kill, machines
from tests.search.artifacts.test_place import content_of, place_at
from tests.search.artifacts.test_two_machines import (
    ALONE,
    left_half_way,
    record_of,
    sent,
    trials,
)
from tests.search.conftest import NewStudy
from tests.search.test_runner import DEADLINE_S, UNPRUNED, curves, run_to_the_end, wait_for

PLACE = "s3://bucket/sweeps"
pytestmark = pytest.mark.long


@pytest.fixture(params=CEPH)
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with Bucket(monkeypatch, request.param) as bucket:
        yield bucket


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch. Next: correct AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId. Next: correct AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_wrong_key_is_said_and_what_to_do_and_not_the_key(
    variable: str, said: str, tmp_path: Path, bucket: Bucket
) -> None:
    place_at(tmp_path, PLACE).put("one.tar", io.BytesIO(b"first"))
    bucket.set(variable, "anothers")
    place = place_at(tmp_path, PLACE)
    with pytest.raises(PlaceAway) as refused:
        content_of(place, "one.tar")
    with pytest.raises(PlaceAway, match=said):
        place.put("two.tar", io.BytesIO(b"second"))
    assert str(refused.value) == f"{PLACE}: {said}, or the profile"
    place.remove("one.tar")
    assert bucket.names() == ["sweeps/small/one.tar"]


def test_a_bucket_of_somebody_else_is_said(tmp_path: Path, bucket: Bucket) -> None:
    bucket.server.add_user("guest", "guests-key", "guests-secret")
    bucket.set("AWS_ACCESS_KEY_ID", "guests-key")
    bucket.set("AWS_SECRET_ACCESS_KEY", "guests-secret")
    with pytest.raises(PlaceAway, match=r"AccessDenied\. Next: have these keys allowed"):
        place_at(tmp_path, PLACE).put("one.tar", io.BytesIO(b"first"))


class _Last(io.BytesIO):
    """Kills a server when a good part of it has been read or written."""

    def __init__(self, bucket: Bucket, content: bytes = b"") -> None:
        super().__init__(content)
        self._bucket = bucket
        self._left = 3 << 20

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            self._bucket.server.kill()

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self._count(len(content))
        return content

    def write(self, content: bytes) -> int:  # type: ignore[override]
        self._count(len(content))
        return super().write(content)


def test_a_server_that_dies_in_the_midst_of_an_archive_is_away(
    tmp_path: Path, bucket: Bucket
) -> None:
    content = bytes(range(256)) * (1 << 17)  # 32 MB
    place = place_at(tmp_path, PLACE)
    place.put("whole.tar", io.BytesIO(content))
    with pytest.raises(PlaceAway):
        place.put("half.tar", _Last(bucket, content))
    bucket.server.start()
    with pytest.raises(NotThere):
        content_of(place, "half.tar")
    with pytest.raises(PlaceAway):
        place.get("whole.tar", _Last(bucket), len(content))
    bucket.server.start()
    assert content_of(place, "whole.tar", len(content)) == content
    assert bucket.names() == ["sweeps/small/whole.tar"]
    assert bucket.unfinished() == []


def test_a_server_that_is_killed_and_started_again_costs_a_study_nothing(
    new_study: NewStudy, tmp_path: Path, bucket: Bucket
) -> None:
    in_turn = {**UNPRUNED, "workers": {"slots": 1}}
    whole = new_study("whole", **in_turn)
    run_to_the_end(whole)
    first, second = machines(new_study, tmp_path, "first", "second", place=PLACE, **in_turn)

    def one_has_ended() -> bool:
        return trials(first)[0].state.is_finished()

    with eager_worker(first) as process:
        wait_for(sent(first, 4), but=process.poll)
        bucket.server.kill()
        wait_for(one_has_ended, but=process.poll)
        bucket.server.start()
        assert process.wait(DEADLINE_S) == 0
        _, said = kill(process)

    assert f"cannot be sent ({PLACE}: Could not connect" in said
    assert "artifacts: trials are being sent again" in said
    load_results(StudyStore(second, create=False))
    assert curves(first) == curves(second) == curves(whole)
    assert len(bucket.names()) == len(curves(whole))
    assert not list((first.output_folder / "owed").iterdir())


def test_who_takes_a_trial_over_waits_for_a_server_that_is_away(
    new_study: NewStudy, tmp_path: Path, bucket: Bucket
) -> None:
    whole = new_study("whole", **ALONE)
    run_to_the_end(whole)
    first, second = machines(new_study, tmp_path, "first", "second", place=PLACE, **ALONE)
    left_half_way(first)
    known = record_of(first, 0)
    bucket.server.kill()

    def it_is_taken_over() -> bool:
        return trials(first)[0].user_attrs.get(attrs.CRASHES) == 1

    with eager_worker(second) as process:
        wait_for(it_is_taken_over, but=process.poll)
        time.sleep(5.0)  # it asks again and again
        assert curves(second) == {}
        bucket.server.start()
        assert process.wait(DEADLINE_S) == 0

    assert curves(second) == curves(whole)
    assert known.newest is not None
    lost = trials(second)[0].user_attrs[attrs.LOST_TOKENS]
    assert lost == known.tokens - known.newest.step * 256
    assert len(bucket.names()) == 1


def test_what_was_refused_for_a_wrong_key_is_sent_with_the_right_one(
    new_study: NewStudy,
    tmp_path: Path,
    bucket: Bucket,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shipping, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(fetching, "PATIENCE_SECONDS", 0.0)
    first, second = machines(new_study, tmp_path, "first", "second", place=PLACE, **UNPRUNED)
    bucket.set("AWS_SECRET_ACCESS_KEY", "not-the-one")
    join(first)
    assert f"({PLACE}: SignatureDoesNotMatch. Next: correct AWS_SECRET_ACCESS_KEY" in caplog.text
    assert "is sent when a worker is started here again" in caplog.text
    assert "not-the-one" not in caplog.text
    assert bucket.names() == []

    bucket.set("AWS_SECRET_ACCESS_KEY", SECRET)
    run_to_the_end(first)

    load_results(StudyStore(second, create=False))
    assert curves(second) == curves(first)
    assert len(bucket.names()) == len(curves(first))


def test_a_worker_that_is_preempted_leaves_in_time_though_the_server_hangs(
    new_study: NewStudy, tmp_path: Path, bucket: Bucket
) -> None:
    endless = {**ALONE, "budget": {"trials": 1, "tokens_per_trial": 4_000_000}}
    (first,) = machines(new_study, tmp_path, "first", place=PLACE, **endless)
    with eager_worker(first) as process:
        wait_for(sent(first, 4), but=process.poll)
        bucket.server.signal(signal.SIGSTOP)
        time.sleep(2.0)  # a worker that sends whenever it can is sending by now
        told = time.monotonic()
        process.send_signal(signal.SIGUSR1)
        assert process.wait(DEADLINE_S) == 75
    assert time.monotonic() - told < 60  # our examples for schedulers leave it two minutes
    assert not _is_held(first)


def _is_held(spec: StudySpec) -> bool:
    return trials(spec)[0].user_attrs[attrs.LEASE] is not None
