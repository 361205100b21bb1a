"""A bucket on an S3 server that a test starts, for the client that everybody uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.ceph import KEY, SECRET, Ceph


class Server(Protocol):
    """An S3 server; as a context, it runs, and is gone afterwards."""

    @property
    def variables(self) -> Mapping[str, str]:
        """What leads clients to it, keys apart."""

    def start(self) -> None:
        """Answer again, with what was there before, unless it does."""

    def kill(self) -> None:
        """Refuse every connection from now on."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Moto:
    """An imitation in this process."""

    def __init__(self) -> None:
        self._port = 0  # of its own choice, and then the same
        self._server: ThreadedMotoServer | None = None

    def __enter__(self) -> Self:
        self.start()
        # All servers of a process have the same things.
        address = self.variables["AWS_ENDPOINT_URL_S3"]
        urlopen(Request(f"{address}/moto-api/reset", method="POST")).close()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def variables(self) -> Mapping[str, str]:
        """See `Server`."""
        return {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self._port}"}

    def start(self) -> None:
        """See `Server`."""
        if self._server is None:
            self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
            self._server.start()
            _, self._port = self._server.get_host_and_port()

    def kill(self) -> None:
        """See `Server`."""
        if self._server is not None:
            self._server.stop()
            self._server = None


_SERVERS: Mapping[str, Callable[[], Server]] = {
    "moto": Moto,
    "ceph": Ceph,
    "ceph by TLS": partial(Ceph, is_encrypted=True),
}
CEPH = [pytest.param(name, marks=pytest.mark.long) for name in ("ceph", "ceph by TLS")]


class Bucket:
    """A server of a kind with a bucket, and the variables that lead to it.

    Args:
        monkeypatch: Sets the variables, for as long as the test.
        kind: Of the server: "moto", or one of `CEPH`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str = "moto") -> None:
        self.server: Any = _SERVERS[kind]()  # a `Server`, and what else this kind can do
        self._monkeypatch = monkeypatch

    def __enter__(self) -> Bucket:
        self.server.__enter__()
        variables = {
            **self.server.variables,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/nowhere/config",
            "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in variables.items():
            self.set(name, value)
        self._monkeypatch.delenv("AWS_PROFILE", raising=False)
        self._client: Any = boto3.client("s3")
        self._client.create_bucket(Bucket="bucket")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.__exit__(kind, error, trace)

    def set(self, name: str, value: str) -> None:
        """Set one of AWS's variables, and have it heard."""
        self._monkeypatch.setenv(name, value)
        self._monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    def names(self) -> list[str]:
        """What is in it, by its keys."""
        listed = self._client.list_objects_v2(Bucket="bucket").get("Contents", [])
        return [thing["Key"] for thing in listed]

    def unfinished(self) -> list[str]:
        """Keys of which it has parts, which nobody sees and everybody pays."""
        listed = self._client.list_multipart_uploads(Bucket="bucket").get("Uploads", [])
        return [upload["Key"] for upload in listed]
