"""The place of archives, a folder or a bucket: the same promises of both."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from urllib3 import HTTPResponse

from sweeper.errors import StorageError
from sweeper.search.artifacts.place import NotThere, Place, PlaceAway, open_place
from tests.search.artifacts.buckets import CEPH, Bucket
from tests.search.fakes import spec_at
from tests.servers import ROOT


@dataclass(frozen=True)
class Ground:
    """A place, and what takes it away."""

    place: Place
    close: Callable[[], None]


def place_at(folder: Path, artifacts: str) -> Place:
    storage = f"sqlite:///{folder / 'study.db'}"
    place = open_place(spec_at(folder, storage=storage, artifacts=artifacts))
    assert place is not None
    return place


@pytest.fixture(params=["folder", "moto", *CEPH])
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    if request.param == "folder":
        (tmp_path / "store").mkdir()
        yield Ground(place_at(tmp_path, "./store"), lambda: shutil.rmtree(tmp_path / "store"))
    else:
        with Bucket(monkeypatch, request.param) as bucket:
            yield Ground(place_at(tmp_path, "s3://bucket/of/mine"), bucket.server.kill)


def content_of(place: Place, name: str, most_bytes: int = 100) -> bytes:
    file = io.BytesIO()
    place.get(name, file, most_bytes)
    return file.getvalue()


def test_what_is_put_is_there_until_it_is_removed(ground: Ground) -> None:
    ground.place.put("one.tar", io.BytesIO(b"first"))
    ground.place.put("two.tar", io.BytesIO(b"second"))
    assert content_of(ground.place, "one.tar") == b"first"
    ground.place.remove("one.tar")
    ground.place.remove("one.tar")
    with pytest.raises(NotThere):
        content_of(ground.place, "one.tar")
    assert content_of(ground.place, "two.tar") == b"second"


def test_no_more_is_read_than_shows_that_it_is_too_much(ground: Ground) -> None:
    ground.place.put("one.tar", io.BytesIO(b"x" * 5000))
    assert len(content_of(ground.place, "one.tar", most_bytes=10)) == 11


def test_a_place_that_is_away_is_not_an_empty_one(ground: Ground) -> None:
    ground.place.put("one.tar", io.BytesIO(b"first"))
    ground.close()
    with pytest.raises(PlaceAway):
        ground.place.put("two.tar", io.BytesIO(b"second"))
    with pytest.raises(PlaceAway):
        content_of(ground.place, "one.tar")
    ground.place.remove("one.tar")


def test_a_bucket_that_is_not_there_is_away_and_not_empty(tmp_path: Path, bucket: Bucket) -> None:
    place = place_at(tmp_path, "s3://another/of/mine")
    with pytest.raises(PlaceAway) as refused:
        place.put("one.tar", io.BytesIO(b"first"))
    assert str(refused.value).startswith("s3://another/of/mine: NoSuchBucket")
    assert str(refused.value).endswith(". Next: make it, or correct the study's artifacts")
    with pytest.raises(PlaceAway, match="NoSuchBucket"):
        content_of(place, "one.tar")
    place.remove("one.tar")


def test_two_studies_in_a_bucket_and_its_prefix(tmp_path: Path, bucket: Bucket) -> None:
    place_at(tmp_path, "s3://bucket/of/mine").put("one.tar", io.BytesIO(b"first"))
    assert bucket.names() == ["of/mine/small/one.tar"]


def test_a_place_that_was_away_has_what_it_had(tmp_path: Path, bucket: Bucket) -> None:
    place = place_at(tmp_path, "s3://bucket")
    place.put("one.tar", io.BytesIO(b"first"))
    bucket.server.kill()
    with pytest.raises(PlaceAway, match=r"^s3://bucket: Could not connect"):
        place.put("two.tar", io.BytesIO(b"second"))
    bucket.server.start()
    place.put("two.tar", io.BytesIO(b"second"))
    assert content_of(place, "one.tar") == b"first"
    assert content_of(place, "two.tar") == b"second"


_DYING_SENDER = """
import io, os, signal, sys
from pathlib import Path
from tests.search.artifacts.test_place import place_at

class Content(io.FileIO):
    def read(self, size=-1):
        if self.tell() > 20_000_000:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(size)

place_at(Path(sys.argv[1]), "s3://bucket").put("one.tar", Content(sys.argv[2]))
"""


def test_nothing_is_left_of_an_archive_whose_sender_died(tmp_path: Path, bucket: Bucket) -> None:
    content = tmp_path / "content"
    content.write_bytes(bytes(30_000_000))
    sender = subprocess.run(
        [sys.executable, "-c", _DYING_SENDER, str(tmp_path), str(content)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert sender.returncode == -signal.SIGKILL
    assert bucket.names() == bucket.unfinished() == []


def test_an_archive_is_sent_as_servers_other_than_amazons_take_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    def answer(request: Any, **_: object) -> AWSResponse:
        sent.append(request.headers)
        return AWSResponse(request.url, 200, {}, HTTPResponse(io.BytesIO()))

    with Bucket(monkeypatch) as bucket:
        bucket.set("AWS_ENDPOINT_URL_S3", "https://127.0.0.1")
        session = botocore.session.get_session()
        session.register("before-send.s3.PutObject", answer)
        boto3.setup_default_session(botocore_session=session)
        place_at(tmp_path, "s3://bucket").put("one.tar", io.BytesIO(b"first"))
    (headers,) = sent
    assert headers["Content-Length"] == "5"
    assert not {"Transfer-Encoding", "X-Amz-Trailer"} & set(headers)


def test_keys_that_are_missing_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bucket(monkeypatch) as bucket:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        bucket.set("AWS_DEFAULT_REGION", "us-east-1")
        with pytest.raises(PlaceAway, match=r"credentials\. Next: set AWS_ACCESS_KEY_ID and"):
            place_at(tmp_path, "s3://bucket").put("one.tar", io.BytesIO(b"first"))


def test_a_profile_that_is_not_there_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bucket(monkeypatch) as bucket:
        bucket.set("AWS_PROFILE", "nobody")
        with pytest.raises(StorageError, match=r"artifacts: .*nobody"):
            place_at(tmp_path, "s3://bucket")
