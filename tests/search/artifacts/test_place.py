"""The place of archives, a folder or a bucket: the same promises of both."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from sweeper.errors import StorageError
from sweeper.search.artifacts.place import NotThere, Place, PlaceAway, open_place
from tests.search.artifacts.buckets import Bucket
from tests.search.fakes import spec_at


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


@pytest.fixture(params=["folder", "bucket"])
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    if request.param == "folder":
        (tmp_path / "store").mkdir()
        yield Ground(place_at(tmp_path, "./store"), lambda: shutil.rmtree(tmp_path / "store"))
    else:
        with Bucket(monkeypatch) as bucket:
            yield Ground(place_at(tmp_path, "s3://bucket/of/mine"), bucket.close)


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


def test_a_bucket_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bucket(monkeypatch), pytest.raises(PlaceAway, match="NoSuchBucket"):
        place_at(tmp_path, "s3://another").put("one.tar", io.BytesIO(b"first"))


def test_two_studies_in_a_bucket_and_its_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bucket(monkeypatch):
        place_at(tmp_path, "s3://bucket/of/mine").put("one.tar", io.BytesIO(b"first"))
        listed = boto3.client("s3").list_objects_v2(Bucket="bucket")["Contents"]
        assert [thing["Key"] for thing in listed] == ["of/mine/small/one.tar"]


def test_a_profile_that_is_not_there_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bucket(monkeypatch):
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        with pytest.raises(StorageError, match=r"artifacts: .*nobody"):
            place_at(tmp_path, "s3://bucket")
