"""Addresses: relative ones go from the study file, and no password is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import StorageAwayError, StorageError
from sweeper.search.storage import served_address, storage_address
from sweeper.search.storages import proxy
from sweeper.search.storages.address import Address
from sweeper.search.storages.opening import open_storage
from sweeper.study.storage_url import without_password
from tests.search.fakes import spec_at

HOME = Path("/home/me")


@pytest.mark.parametrize(
    ("text", "url", "shown"),
    [
        ("sqlite:///x.db", "sqlite:////home/me/x.db", "me/x.db"),
        ("sqlite:////data/x.db", "sqlite:////data/x.db", "data/x.db"),
        ("journal:///runs/x.log", "journal:////home/me/runs/x.log", "runs/x.log"),
        ("runs/x.log", "journal:////home/me/runs/x.log", "runs/x.log"),
        ("/data/x.log", "journal:////data/x.log", "data/x.log"),
        ("grpc://head:13000", "grpc://head:13000", "grpc://head:13000"),
        (
            "postgresql://me:a/b@c@host/db",
            "postgresql+psycopg://me:a/b@c@host/db",
            "postgresql://me:***@host/db",
        ),
        (
            "postgresql+psycopg://host/db?user=me&password=secret",
            "postgresql+psycopg://host/db?user=me&password=secret",
            "postgresql://host/db?user=me&password=***",
        ),
    ],
)
def test_read(text: str, url: str, shown: str) -> None:
    address = Address.read(text, HOME)

    assert (address.url, str(address)) == (url, shown)
    assert repr(address) == f"Address({shown})"


def test_parts_of_an_address() -> None:
    proxy = Address.read("grpc://head:13000", HOME)

    assert (proxy.host, proxy.port, proxy.is_remote) == ("head", 13000, True)
    assert Address.read("sqlite:///x.db", HOME).path == HOME / "x.db"


def test_a_study_is_stored_in_its_folder_unless_it_says_more(tmp_path: Path) -> None:
    default = f"sqlite:///{tmp_path}/reports/small/study.db"

    assert storage_address(spec_at(tmp_path)).url == default
    elsewhere = spec_at(tmp_path, storage="sqlite:///x.db")
    assert storage_address(elsewhere).url == f"sqlite:///{tmp_path}/x.db"
    assert served_address(elsewhere) == storage_address(elsewhere)
    assert served_address(spec_at(tmp_path, storage="grpc://head:1")).url == default


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    address = Address.read("postgresql://me:secret@127.0.0.1:1/db?connect_timeout=2", HOME)

    with pytest.raises(StorageError, match=r"postgresql://me:\*\*\*@127.0.0.1:1/db") as caught:
        open_storage(address)

    assert "secret" not in str(caught.value)


def test_a_proxy_that_nobody_serves_is_said_to_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "FIRST_GREETING_SECONDS", 0.2)
    with pytest.raises(StorageAwayError, match=r"grpc://127\.0\.0\.1:1 .*sweeper storage serve"):
        open_storage(Address.read("grpc://127.0.0.1:1", HOME))


def test_text_without_urls_stays_as_it_is() -> None:
    assert without_password("at 12:30 me@host") == "at 12:30 me@host"
