"""One place per kind of storage, where each test has a study of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper.study import StudySpec
from tests.search.fakes import plain, spec_at
from tests.servers import PostgresServer, Proxy

KINDS = ("sqlite", "journal", "postgresql", "grpc")

NewSpec = Callable[..., StudySpec]


def new_proxy(folder: Path) -> Proxy:
    """One that serves `served.db` in a folder."""
    study = folder / "served.yaml"
    study.write_text(yaml.safe_dump(plain(data={"train": "builtin:pydoc-qa"})), "utf-8")
    return Proxy(study, "storage=sqlite:///served.db")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with PostgresServer() as server:
        yield server.url


@pytest.fixture(scope="session")
def proxy_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    proxy = new_proxy(tmp_path_factory.mktemp("served"))
    proxy.start()
    yield proxy.url
    proxy.kill()


@pytest.fixture(params=KINDS)
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a storage that other tests may use too."""
    match request.param:
        case "sqlite":
            return "default"
        case "journal":
            return f"journal:///{tmp_path}/study.log"
        case "postgresql":
            return str(request.getfixturevalue("postgres_url"))
        case _:
            return str(request.getfixturevalue("proxy_url"))


@pytest.fixture
def new_spec(storage_url: str, tmp_path: Path) -> NewSpec:
    """The small study on that storage; each test's has a name of its own."""

    def spec(**changes: Any) -> StudySpec:
        name = f"{tmp_path.parent.name} {tmp_path.name}"
        return spec_at(tmp_path, storage=storage_url, name=name, **changes)

    return spec
